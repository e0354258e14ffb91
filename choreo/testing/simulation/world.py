"""One seed's world: services on hosts, a broker, databases, a scenario, and what befalls them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from contextvars import Context, copy_context
from datetime import timedelta
from random import Random
from typing import Any

from choreo.errors import PublishError
from choreo.event import Event, event_type
from choreo.failpoints import watched
from choreo.runner import Running, started
from choreo.service import Service
from choreo.settings import Settings
from choreo.testing.observing import AUDIENCE
from choreo.testing.simulation.broker import Cluster, SimulatedBroker
from choreo.testing.simulation.history import Entry, History, Kind, Subscriber, Told, described
from choreo.testing.simulation.host import Host, HostClock
from choreo.testing.simulation.loop import OWNER, SimulationLoop
from choreo.testing.simulation.nemesis import Nemesis
from choreo.testing.simulation.process import Ground, Process
from choreo.testing.simulation.store import Database
from choreo.testing.simulation.weather import Rates, Weather
from choreo.testing.simulation.wire import Conditions
from choreo.testing.simulation.witness import STAGE, Stage

Scenario = Callable[["World"], Awaitable[None]]
"""What the outside does: publishes events through the world it is given, and waits in between."""

PATIENCE = 900.0
"""Virtual seconds after the last fault within which everything must be at its end."""
LOOK = 0.25
"""Virtual seconds between two looks whether it is."""
QUIET = 4
"""Looks in a row that must find it so."""
AFTER = 3.0
"""Virtual seconds for which fresh processes run at the end: what had lived in memory is gone."""
SOON = timedelta(seconds=30)
"""What is to be published within this is waited for."""
PUBLISHING = 8
"""Times that a scenario publishes one event until it knows its fate."""


class World:
    """What a scenario is given."""

    def __init__(
        self,
        seed: int,
        weather: Weather,
        services: Sequence[tuple[Service[Any], Settings]],
        outside: tuple[Service[Any], Settings],
        *,
        without: frozenset[int] = frozenset(),
    ) -> None:
        """Leave out what is published as one of the numbers in *without*, the first being 0.

        *outside* is what the scenario publishes with.
        """
        self.random = Random(f"{seed} scenario")
        """For what the scenario draws."""
        levels = weather.transport == "mqtt"
        subscribers = [
            one for service, settings in services for one in told(service, settings, levels=levels)
        ]
        self.history = History(seed, subscribers)
        self._weather = weather
        self._without = without
        self._outside = outside
        self.count = 0
        """Events that the scenario has published, or would have."""
        schedule = Random(f"{seed} schedule") if weather.shuffled else None
        self.loop = SimulationLoop(schedule)  # type: ignore[abstract]  # sockets are not simulated
        self._stage = Stage(self.history, self.loop)
        self._context = self._own_context()
        self._conditions = Conditions(
            self.loop, seed, weather.rates, weather.latency, self._context
        )
        self._ground = self._make_ground(seed, services)
        self._processes = [
            Process(service, settings, f"{service.name}-{number + 1}", self._ground)
            for service, settings in services
            for number in range(weather.processes)
        ]
        self._client: Running | None = None

    def _make_ground(self, seed: int, services: Sequence[tuple[Service[Any], Settings]]) -> Ground:
        clock = HostClock(self.loop)
        databases = {
            service.name: Database(self._conditions, clock, self.history)
            for service, settings in services
            if stored(service, settings)
        }
        return Ground(
            seed=seed,
            loop=self.loop,
            stage=self._stage,
            cluster=Cluster(self._conditions, self.history, self._weather),
            databases=databases,
            context=self._context,
        )

    # -- what a scenario does -----------------------------------------------------------------

    async def publish(self, event: Event, /) -> str:
        """Publish an event that begins a conversation, until its fate is known; return its id."""
        assert self._client is not None  # noqa: S101 -- it is open while a scenario runs
        identity = self._client._environment.ids.new()  # noqa: SLF001 -- as Running.publish does
        number, self.count = self.count, self.count + 1
        messages = self._client.outgoing.roots([(identity, event)])
        if number not in self._without:
            names = described(messages[0])
            field = event_type(event).sequence
            if field is not None:
                names["number"] = getattr(event, field)
            self._tell("published", messages[0].topic, names)
            await self._send(messages, identity)
        return identity

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    async def _send(self, messages: Sequence[Any], identity: str) -> None:
        assert self._client is not None  # noqa: S101 -- as above
        fate: Kind = "refused"
        for _ in range(PUBLISHING):
            try:
                await self._client.send(messages)
            except PublishError as error:
                if not error.unknown:
                    break
                fate = "unknown"  # and stays so, as that try may have been kept
                await asyncio.sleep(self._conditions.lag("scenario") * 10)
            else:
                return
        self._tell(fate, messages[0].topic, {"id": identity})

    # -- one life of the world ----------------------------------------------------------------

    def run(self, scenario: Scenario) -> History:
        """Live through the scenario, the faults, and what comes after them."""
        try:
            self._context.run(self.loop.run_until_complete, self._main(scenario))
        except Exception as error:  # noqa: BLE001 -- a scenario's mistake, or a deadlock, is a finding
            self._stage.tell("broken", text=f"the world ended with {error!r}")
        for text in self.loop.unhandled:
            self._stage.tell("broken", text=text)
        self.history.closed = True
        self.loop.close()
        return self.history

    async def _main(self, scenario: Scenario) -> None:
        async with AsyncExitStack() as stack:
            await self._open_client(stack)
            traps = self._weather.traps
            nemesis = Nemesis(self._processes, self._ground, self._conditions, traps)
            stack.enter_context(watched(nemesis.arrive))
            for process in self._processes:
                process.start()
            if self._weather.transport == "mqtt":  # nothing is kept for who has never been there
                await self._until(lambda: all(one.ready for one in self._processes), "starting")
            blows = self.loop.create_task(nemesis.rage(self._weather.faults), name="nemesis")
            await scenario(self)
            await blows
            await nemesis.relent()
            self._heal()
            await self._settle("after the last fault")
            await self._start_afresh()
            await self._settle("in fresh processes")
            self._look_behind()
            for process in self._processes:
                process.stop()
            await self._until(lambda: all(process.gone for process in self._processes), "stopping")

    async def _open_client(self, stack: AsyncExitStack) -> None:
        host = Host("scenario", 1, self.loop, Random(f"{self._ground.seed} client"))
        service, settings = self._outside
        self._client = await stack.enter_async_context(
            started(
                service,
                settings=settings,
                environment=host.environment,
                connect=lambda _: SimulatedBroker(self._ground.cluster, host),
            )
        )

    def _heal(self) -> None:
        self._stage.tell("fault", text="everything is healed")
        self._conditions.rates = Rates()
        for process in self._processes:
            process.start()

    async def _start_afresh(self) -> None:
        """Stop every process in order and start another: only what was written down remains."""
        for process in self._processes:
            process.stop()
        await self._until(lambda: all(process.gone for process in self._processes), "stopping")
        for process in self._processes:
            process.start()
        await asyncio.sleep(AFTER)

    async def _settle(self, when: str) -> None:
        quiet = 0

        def at_rest() -> bool:
            nonlocal quiet
            quiet = quiet + 1 if self._idle() else 0
            return quiet >= QUIET

        await self._until(at_rest, when)

    async def _until(self, holds: Callable[[], bool], when: str) -> None:
        deadline = self.loop.time() + PATIENCE
        while not (holds() or self._stage.broken):
            if self.loop.time() > deadline:
                self._stage.tell("broken", text=f"nothing comes to an end {when}")
                return
            await asyncio.sleep(LOOK)

    def _idle(self) -> bool:
        ground = self._ground
        if not ground.cluster.idle or not all(process.ready for process in self._processes):
            return False
        soon = HostClock(self.loop).now() + SOON
        for database in ground.databases.values():
            if any(shelf.rows for shelf in database.shelves):
                return False
            if any(due <= soon for due, _ in database.timers):
                return False
            if any(row.due for lot in database.lots for row in lot.lines.values()):
                return False
        return True

    def _look_behind(self) -> None:
        """Write down what still waits at the very end, and where."""
        for name, database in self._ground.databases.items():
            for shelf in database.shelves:
                for row in (*shelf.rows.values(), *shelf.aside.values()):
                    entry = Entry(
                        at=self.loop.time(),
                        kind="left",
                        service=name,
                        id=row.identity,
                        text="outbox",
                    )
                    self.history.add(entry)
            for _, identity in database.timers:
                now = self.loop.time()
                entry = Entry(at=now, kind="left", service=name, id=identity, text="timer")
                self.history.add(entry)
            for lot in database.lots:
                for line in lot.lines.values():
                    for _, handler, parked in line.entries:
                        entry = Entry(
                            at=self.loop.time(),
                            kind="left",
                            service=name,
                            handler=handler,
                            id=parked.id,
                            source=parked.source,
                            text="lot",
                        )
                        self.history.add(entry)

    def _tell(self, kind: Kind, topic: str, names: Told) -> None:
        self.history.add(Entry(at=self.loop.time(), kind=kind, topic=topic, **names))

    def _own_context(self) -> Context:
        context = copy_context()
        context.run(OWNER.set, _Around())
        context.run(STAGE.set, self._stage)
        context.run(AUDIENCE.set, self._stage)
        return context


class _Around:
    """The owner of what belongs to no host: it neither dies nor pauses."""

    dead = False
    held = None
    doom = None


def stored(service: Service[Any], settings: Settings) -> bool:
    """Say whether *service* keeps its books in a store."""
    return service.store is not None or settings.store is not None


def told(service: Service[Any], settings: Settings, *, levels: bool) -> list[Subscriber]:
    """List the handlers of *service* as a history does, on a broker with topic *levels* or none."""
    return [
        Subscriber(
            service=service.name,
            handler=plan.id,
            type=event_type(plan.event).type,
            topic=topic.filter if levels else topic.flat,
            durable=stored(service, settings),
        )
        for plan in service.plans
        for topic in (event_type(plan.event).topic,)
    ]
