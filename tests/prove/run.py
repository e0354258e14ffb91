"""One run on one site: a generator against services under faults, then peace, then the truth."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import cast

from choreo import Message, Service
from choreo.runner import started
from choreo.testing.checker import Bounds, Entry, Evidence, Scribe, Sight, read_entries
from tests.crash.processes import Nursery
from tests.local.mqtt_client import Login, connected
from tests.patience import patient
from tests.prove import truth
from tests.prove.blows import BLOWS, Ring
from tests.prove.crew import Crew, Member
from tests.prove.events import events_of
from tests.prove.generator import Generator, Plan
from tests.prove.site import Site
from tests.prove.watch import Watch
from tests.prove.worker import ROLES, TOPICS, Task, subscribers

EFFECTS = 6.2
"""Effects of a request, on the average."""
BACKLOG = {True: 600, False: 300}
"""Requests under way before the generator waits: on Kafka, on MQTT."""
BESIDE = 6.0
"""Seconds of a fault beside its length: requests are spread so that each fault meets some."""
LEFT = 30.0
"""Seconds for what is left to be asked when the last fault is over."""
QUIET = 5.0
"""Seconds without a new effect after which a run has come to rest."""
REST = patient(120.0)
"""Seconds to go on after a fault, and to come to rest once all is healed."""
FRESH = 10.0
"""Seconds that fresh processes run, and must find nothing to do."""
PREFETCH = 64
"""Deliveries that a process holds ahead: after a kill, each of them is handled alone."""
RSS = 512 * 1024 * 1024
"""Bytes that a process may hold."""
SIGHTS: frozenset[Sight] = frozenset(
    (
        *("redelivery", "dedupe hit", "kill between effect and ack", "dead letter", "gap filled"),
        *("saga completed", "saga compensated"),
    )
)
REBALANCE: frozenset[Sight] = frozenset({"rebalance"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """How one fault went."""

    name: str
    proof: str
    """Empty if it did not bite."""
    recovery: float
    """Seconds from its end until every service had a new effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one run."""

    site: str
    evidence: Evidence
    blows: list[Blow]
    problems: list[str]
    """Why the run is void or broken, beside what the checker finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is done, and for how long."""

    seed: int
    requests: int
    deadline: float
    """When the faults end at the latest, by the monotonic clock."""
    whole: bool
    """The run is void if not all requests were made in time."""
    slot: float
    """Seconds of a fault that has no length of its own."""
    planted: str = ""
    """A mistake that the checker must find."""


@dataclass(slots=True, kw_only=True)
class Run:
    """Everything that is there while a run lasts."""

    site: Site
    size: Size
    folder: Path
    crew: Crew
    watch: Watch
    say: Callable[[str], None]
    blows: list[Blow] = field(default_factory=list[Blow])
    problems: list[str] = field(default_factory=list[str])

    async def drive(self) -> Outcome:
        """Go through all phases."""
        observer = truth.Observer()
        async with AsyncExitStack() as stack:
            if not self.site.kafka:
                await stack.enter_async_context(observed(self.site, observer))
            await self.crew.start(*self.crew.members)
            self.say("services are up")
            await self._under_faults()
            self._mark("heal")
            await self._rest()
            self._mark("finish")
            await self._fresh()
            if not self.site.kafka:
                await asyncio.sleep(QUIET)  # what the observer is still handed
        return await self._judged(observer)

    # -- phases -----------------------------------------------------------------------------------

    async def _under_faults(self) -> None:
        async with started(Service(f"{self.site.run}-generator", broker=self.site.url)) as running:
            generator = Generator(
                plan=Plan(self.size.seed, self.size.requests),
                kind=events_of(self.site.run).requested,
                running=running,
                scribe=Scribe(self.folder / "generator.jsonl"),
                window=len(BLOWS) * (self.size.slot + BESIDE),
                room=lambda: generator.sent - self.watch.done / EFFECTS < BACKLOG[self.site.kafka],
            )
            asking = asyncio.create_task(generator.run(), name="generator")
            watching = asyncio.create_task(self.watch.run(), name="watch")
            try:
                await self._strike(asking)
                left = max(LEFT, self.size.deadline - time.monotonic())
                await asyncio.wait({asking}, timeout=left)
                whole = asking.done()
                generator.plan.ended = True  # a number never sent would be waited for in vain
                await asyncio.wait({asking}, timeout=LEFT)
            finally:
                asking.cancel()
                watching.cancel()
                await asyncio.wait({asking, watching})
            if asking.cancelled():
                self.problems.append("the generator was stuck: some numbers were never sent")
            else:
                asking.result()
            if not whole and self.size.whole:
                told = f"time was up after {generator.sent} of {self.size.requests} requests"
                self.problems.append(told)
            self.say(f"{generator.sent} requests accepted, copies included")

    async def _strike(self, asking: "asyncio.Task[None]") -> None:
        """Let every fault happen once, then again and again while there is work and time."""
        dice = Random(self.size.seed)
        ring = Ring(
            site=self.site,
            crew=self.crew,
            dice=dice,
            scribe=self.crew.scribe,
            seconds=self.size.slot,
        )
        names, struck = list(BLOWS), 0
        dice.shuffle(names)
        (self.folder / "schedule.txt").write_text("\n".join(names))
        while struck < len(names) or not (
            asking.done() or time.monotonic() + 3 * self.size.slot > self.size.deadline
        ):
            name = names[struck % len(names)]
            proof = await ring.strike(name)
            recovery = await self._recovered(asking)
            self.blows.append(Blow(name=name, proof=proof, recovery=recovery))
            self.say(f"{name}: {proof or 'DID NOT BITE'}; went on after {recovery:.1f} s")
            struck += 1

    async def _recovered(self, asking: "asyncio.Task[None]") -> float:
        """Wait until every service has had an effect since now, or nothing is left to do."""
        since = moved = time.monotonic()
        before = self.watch.done
        while not self.watch.has_gone_on(since):
            await asyncio.sleep(0.2)
            now = time.monotonic()
            if self.watch.done != before:
                before, moved = self.watch.done, now
            if asking.done() and now - moved > QUIET:
                return 0.0  # all is done already
            if now - since > REST:
                self.problems.append(f"not every service went on within {REST:.0f} s of a fault")
                return now - since
        return max(self.watch.latest.values()) - since

    async def _rest(self) -> None:
        """Wait until nothing happens any more, and groups are at the ends of their streams."""
        begun = changed = time.monotonic()
        before, lag = -1, ["effects went on"]
        while time.monotonic() < begun + REST:
            count = await self.site.ledgers.count()
            if count != before:
                before, changed = count, time.monotonic()
            elif time.monotonic() - changed > QUIET:
                lag = await asyncio.to_thread(self.watch.lag)
                if waiting := await self.site.ledgers.waiting():
                    lag.append(f"{waiting} events wait in outboxes")
                if not lag:
                    self.say(f"at rest after {changed - begun:.0f} s with {count} effects")
                    return
            await asyncio.sleep(0.5)
        self.problems.append(f"not at rest {REST:.0f} s after healing: {'; '.join(lag[:5])}")

    async def _fresh(self) -> None:
        """Stop all in order, start fresh ones, and count what they find to do."""
        await asyncio.gather(*(self.crew.stop(member) for member in self.crew.members))
        before = await self.site.ledgers.count()
        await self.crew.start(*self.crew.members)
        await asyncio.sleep(FRESH)
        await asyncio.gather(*(self.crew.stop(member) for member in self.crew.members))
        late = await self.site.ledgers.count() - before
        if late:
            self.problems.append(f"fresh processes had {late} effects more")

    async def _judged(self, observer: truth.Observer) -> Outcome:
        """Read what is true, and put it together."""
        found, committed = observer.truth, dict[tuple[str, str], int]()
        if self.site.kafka:
            bootstrap = self.site.bootstrap
            found = await asyncio.to_thread(truth.read_kafka, bootstrap, self.site.run)
            committed = await asyncio.to_thread(self.watch.places)
            await asyncio.to_thread(self.watch.close)
        effects = await self.site.ledgers.effects()
        fired = [
            Entry(at=effect.at, kind="timer_fire", proc=effect.proc, id=effect.id)
            for effect in effects
            if effect.handler == "expire"
        ]
        told = [*read_entries(self.crew.histories()), *fired, *await self.site.ledgers.steps()]
        evidence = Evidence(
            subscribers=subscribers(self.site.run),
            entries=sorted(told, key=lambda entry: entry.at),
            effects=effects,
            log=found.log,
            letters=found.letters,
            committed=committed,
            bounds=Bounds(
                recovery=REST,
                rss=RSS,
                patience=0.05,
                sights=SIGHTS | REBALANCE if self.site.kafka else SIGHTS,
                faults=frozenset(BLOWS),
            ),
        )
        self.problems += self.crew.bad_ends
        return Outcome(
            site=self.site.name, evidence=evidence, blows=self.blows, problems=self.problems
        )

    def _mark(self, kind: str) -> None:
        self.crew.scribe.write(kind, time.monotonic())  # type: ignore[arg-type] # one of two


@asynccontextmanager
async def observed(site: Site, observer: truth.Observer) -> AsyncGenerator[None]:
    """Keep a raw session beside the services that sees every message of the run."""
    port = int(site.direct.rpartition(":")[2])
    session = connected(port, Login(client_id=f"{site.run}-observer"))
    seen = await asyncio.to_thread(session.__enter__)
    try:
        topics = [f"{site.run}-{topic}" for topic in TOPICS.values()]
        for topic in (*topics, *(f"choreo/dlq/{site.run}-{role}/+" for role in ROLES)):
            await asyncio.to_thread(seen.subscribe, topic)
        yield
    finally:
        await asyncio.to_thread(session.__exit__, None, None, None)
        for message in seen.received:
            properties: object = getattr(message.properties, "UserProperty", ())
            pairs = cast("Sequence[tuple[str, str]]", properties)
            told = [(name, value.encode()) for name, value in pairs]
            observer.take(Message(message.topic, bytes(message.payload), None, told))


@asynccontextmanager
async def prepared(
    site: Site, size: Size, folder: Path, say: Callable[[str], None]
) -> AsyncGenerator[Run]:
    """Gather the processes of a run, none of which outlives the block."""
    scribe = Scribe(folder / "driver.jsonl")
    async with Nursery() as nursery:
        crew = Crew(nursery=nursery, folder=folder, scribe=scribe)
        for role in ROLES:
            for index in range(1, site.each + 1):
                task = Task(
                    role=role,
                    run=site.run,
                    broker=site.url,
                    store=site.stores[role],
                    proc=f"{role}-{index}",
                    life=0,
                    history="",
                    planted=size.planted,
                    options={"prefetch": PREFETCH},
                )
                crew.members.append(Member(task))
        watch = Watch(site=site, crew=crew, scribe=scribe)
        yield Run(site=site, size=size, folder=folder, crew=crew, watch=watch, say=say)
