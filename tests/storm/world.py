"""A small choreography on memory:// that is put through a storm: a shop asks, a desk answers."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from functools import partial
from random import Random
from typing import Literal

from choreo import Context, Event, Message, Retry, Service
from choreo.broker import TopicFilter
from choreo.environment import Environment
from choreo.ids import derived
from choreo.message import Delivery
from choreo.runner import Running, started
from choreo.testing import ManualClock
from choreo.testing.clock import rest
from choreo_memory import MemoryBroker
from tests.storm.account import Account, Life, Witness
from tests.storm.events import Answered, Asked
from tests.storm.weather import Gate, StormyBroker, Temper

HANDLERS = ("returns", "yields", "publishes")
THREADED = "threaded"
MOST_MEMBERS = 3
MOMENT = timedelta(milliseconds=15)


def rare(asked: Asked) -> bool:
    return asked.number % 7 == 0


class Member:
    """One process of one service."""

    def __init__(self, service: Service, life: Life) -> None:
        self.service = service
        self.life = life
        self.leave = asyncio.Event()
        self.client: StormyBroker | None = None
        self.running: Running | None = None
        self.task: asyncio.Task[None] | None = None


class World:
    """The services, their broker, and the account of each."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = ManualClock()
        self.url = f"memory://storm-{seed}?partitions=3"
        self.keep = MemoryBroker(self.url, clock=self.clock)
        self.gate = Gate(self.random)
        self.temper = Temper(seed, self.clock)
        self.accounts = {
            name: Account(partial(self._is_current, name)) for name in ("shop", "desk")
        }
        orders: tuple[Literal["handler", "key"], ...] = ("handler", "key")
        self.order: Literal["handler", "key"] = self.random.choice(orders)
        self.members: list[Member] = []
        self.sent: list[Message] = []
        self._numbers: dict[str, int] = {}
        self._born = 0

    # -- what happens to it -----------------------------------------------------------------------

    async def publish(self, source: Running) -> None:
        events: list[Event] = []
        for _ in range(self.random.randrange(1, 7)):
            key = self.random.choice("abcd")
            self._numbers[key] = self._numbers.get(key, -1) + 1
            events.append(Asked(key=key, number=self._numbers[key]))
        ids = [f"{event.key}{event.number}" for event in events if isinstance(event, Asked)]
        messages = source.outgoing.roots(list(zip(ids, events, strict=True)))
        for identity, event in zip(ids, events, strict=True):
            assert isinstance(event, Asked)
            wanted = {*HANDLERS, THREADED} if rare(event) else {*HANDLERS}
            self.accounts["shop"].expect(identity, wanted, event.key)
            for handler in HANDLERS:
                answer = derived("urn:choreo:shop", "urn:choreo:source", identity, handler, 0)
                self.accounts["desk"].expect(answer, {"hear"}, f"{event.key}/{handler}")
        self.sent += messages
        await source.send(messages)

    async def repeat(self, source: Running) -> None:
        if self.sent:
            await source.send([self.random.choice(self.sent)])

    def join(self, name: str) -> None:
        if len(self._alive(name)) < MOST_MEMBERS:
            self._born += 1
            member = self._member(name, Life(f"{name}-{self._born}"))
            member.task = asyncio.create_task(self._live(member), name=member.life.name)
            self.members.append(member)

    def leave(self, name: str) -> None:
        if members := self._alive(name):
            self.random.choice(members).leave.set()

    def crash(self, name: str) -> None:
        members = [member for member in self._alive(name) if member.client is not None]
        if members:
            member = self.random.choice(members)
            assert member.client is not None
            member.client.crash()
            member.life.over = True
            if member.running is not None and member.running.worker is not None:
                member.running.worker.abort()
            member.leave.set()

    # -- how it ends ------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Let everything become quiet, within bounded virtual time."""
        self.temper.healed.set()
        self.gate.shut.clear()
        for name in self.accounts:
            if not self._alive(name):
                self.join(name)
        for _ in range(150):
            await self.clock.advance(1)
            if await self._quiet():
                return
        raise AssertionError(f"not quiet: {[member.life.name for member in self._alive('shop')]}")

    async def close(self) -> None:
        """Leave with all that is left."""
        for member in self.members:
            member.leave.set()
        await asyncio.wait([member.task for member in self.members if member.task])
        for member in self.members:
            assert member.task is not None
            member.task.result()

    async def topic(self, name: str) -> list[Delivery]:
        async with self.keep.browse(TopicFilter(name)) as found:
            return [delivery async for delivery in found]

    async def _quiet(self) -> bool:
        if any(member.leave.is_set() and not _done(member) for member in self.members):
            await asyncio.sleep(0.002)  # its budgets are real time
            return False
        for name in self.accounts:
            for member in self._alive(name):
                running = member.running
                if running is None or running.worker is None or running.consumer is None:
                    return False
                if running.worker.busy:
                    await asyncio.sleep(0.001)  # a thread, perhaps
                if running.worker.held or running.worker.busy:
                    return False
        await rest()
        return all(
            progress.settled == progress.end
            for member in self.members
            if not _done(member) and member.running and member.running.consumer
            for progress in member.running.consumer.progress()
        )

    # -- what it is made of -----------------------------------------------------------------------

    def _alive(self, name: str) -> list[Member]:
        return [m for m in self.members if m.service.name == name and not m.leave.is_set()]

    def _is_current(self, name: str, delivery: Delivery) -> bool:
        """Whether its assignment lasts, by the broker's own books."""
        places = self.keep._log.group(name)._topics[delivery.topic]
        return any(p.stream == delivery.stream and p.epoch == delivery.epoch for p in places)

    async def _live(self, member: Member) -> None:
        def connect(url: str) -> StormyBroker:
            member.client = StormyBroker(url, self.gate, self.clock)
            return member.client

        witness = Witness(self.accounts[member.service.name], member.life)
        environment = Environment(clock=self.clock, random=self.random)
        async with started(
            member.service, environment=environment, journals=[witness], connect=connect
        ) as running:
            member.running = running
            await member.leave.wait()
        member.life.over = True

    def _member(self, name: str, life: Life) -> Member:
        service = Service(
            name,
            broker=self.url,
            retry=Retry(attempts=3, initial=timedelta(milliseconds=50)),
            concurrency=self.random.randrange(1, 8),
            prefetch=self.random.randrange(2, 20),
            max_unsettled=self.random.randrange(4, 40),
            order=self.order,
            deadline=timedelta(seconds=2),
            drain=MOMENT,
            grace=MOMENT,
            threads=2,
        )
        if name == "shop":
            self._open_shop(service, life)
        else:
            self._open_desk(service, life)
        return Member(service, life)

    async def _handle(self, life: Life, event: Asked | Answered, ctx: Context) -> None:
        account = self.accounts[ctx.service]
        run = account.begin(life, event.key, ctx)
        well = False
        try:
            await self.temper.act(run, account.runs[run.share])
            well = True
        finally:
            account.end(run, well=well)

    def _open_shop(self, service: Service, life: Life) -> None:
        @service.on(Asked)
        async def returns(asked: Asked, ctx: Context) -> Answered:
            await self._handle(life, asked, ctx)
            return Answered(key=asked.key, number=asked.number)

        @service.on(Asked)
        async def yields(asked: Asked, ctx: Context) -> AsyncGenerator[Answered]:
            await self._handle(life, asked, ctx)
            yield Answered(key=asked.key, number=asked.number)

        @service.on(Asked, publishes=[Answered])
        async def publishes(asked: Asked, ctx: Context) -> None:
            await self._handle(life, asked, ctx)
            await ctx.publish(Answered(key=asked.key, number=asked.number))

        @service.on(Asked, when=rare)
        def threaded(asked: Asked, ctx: Context) -> None:
            account = self.accounts["shop"]
            run = account.begin(
                life, asked.key, ctx, late=True
            )  # it may have to wait for its thread
            fails = account.runs[run.share] == 1 and asked.number % 2 == 0
            account.end(run, well=not fails)
            if fails:
                raise StopIteration

    def _open_desk(self, service: Service, life: Life) -> None:
        @service.on(Answered)
        async def hear(answered: Answered, ctx: Context) -> None:
            await self._handle(life, answered, ctx)


def _done(member: Member) -> bool:
    return member.task is not None and member.task.done()
