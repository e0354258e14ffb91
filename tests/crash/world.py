"""One run of the choreography: its topics, its databases, what went in, and what came of it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from choreo import Message
from choreo.broker import open_broker
from choreo.dead_letter import dead_letter_filter, original, read_dead_letter
from choreo.errors import StoreError
from choreo.runner import Running
from choreo_sql import SqlStore
from tests.crash.processes import Child, Nursery
from tests.crash.program import Task
from tests.patience import patient

HANDLERS = ("charge", "announce", "remind", "deliver")
UNTROUBLED: Mapping[str, Any] = {"flaky": "", "refused": "", "parked": "", "spoilt": 0}
"""What a plan says in which every event is handled at once."""
LOOK = 0.1
TABLE = {
    "sqlite": "CREATE TABLE IF NOT EXISTS effects (place INTEGER PRIMARY KEY, run TEXT,"
    " handler TEXT, id TEXT, key TEXT, number INTEGER, process INTEGER)",
    "postgresql": "CREATE TABLE IF NOT EXISTS effects (place BIGSERIAL PRIMARY KEY, run TEXT,"
    " handler TEXT, id TEXT, key TEXT, number INTEGER, process INTEGER)",
}
EFFECTS = text(
    "SELECT handler, id, key, number, process FROM effects WHERE run = :run ORDER BY place"
)
WAITING = text(
    "SELECT count(*) FROM choreo_outbox JOIN choreo_service"
    " ON choreo_service.number = choreo_outbox.service WHERE name = :run"
)

Lane = tuple[str, str]
"""Handler and key."""


class Effect(NamedTuple):
    """One row of the table, which no constraint guards."""

    handler: str
    id: str
    key: str
    number: int
    process: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens in a run, and where."""

    run: str
    broker: str
    stores: Mapping[str, str]
    """URL of the store, by role."""
    folder: Path
    keys: Sequence[str] = ("a", "b", "c")
    each: int = 4
    flaky: str = "a/1"
    refused: str = "b/2"
    parked: str = "c/1"
    spoilt: int = 1
    """Events that cannot be decoded."""
    pauses: dict[str, float] = field(default_factory=dict[str, float])
    handlers: Sequence[str] = HANDLERS
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def task(self, role: str, failpoint: str, arrivals: Path) -> Task:
        """Describe a process of *role*, which dies at *failpoint* and tells where it was."""
        return Task(
            role=role,
            run=self.run,
            broker=self.broker,
            store=self.stores[role],
            environment={"CHOREO_FAILPOINT": failpoint, "CHOREO_FAILPOINT_LOG": str(arrivals)},
            flaky=self.flaky,
            refused=self.refused,
            parked=self.parked,
            pauses=self.pauses,
            handlers=list(self.handlers),
            options=self.options,
        )

    @property
    def orders(self) -> list[tuple[str, int]]:
        """Key and number of what goes in, keys interleaved."""
        return [(key, number) for number in range(self.each) for key in self.keys]

    @property
    def charged(self) -> set[tuple[str, str, int]]:
        """What the transactional handlers must have an effect of."""
        kept = (order for order in self.orders if f"{order[0]}/{order[1]}" != self.refused)
        charged = {("charge", *order) for order in kept}
        delivered = {("deliver", *order) for order in self.orders}
        return {one for one in charged | delivered if one[0] in self.handlers}

    @property
    def booked(self) -> set[tuple[str, str, int]]:
        """What must arrive at the second service."""
        others = {(by, *order) for by in ("announce", "remind") for order in self.orders}
        return {one for one in others if one[0] in self.handlers} | self.charged

    def message(self, identity: str, key: str, body: bytes) -> Message:
        """Write an order as another program may have."""
        prefix = "" if self.broker.startswith("mqtt") else "ce_"
        attributes = {"specversion": "1.0", "id": identity, "source": "urn:elsewhere"}
        attributes |= {"type": "crash.Order.v1"} | ({} if prefix else {"partitionkey": key})
        headers = [(f"{prefix}{name}", value.encode()) for name, value in attributes.items()]
        headers.append(("content-type", b"application/json"))
        return Message(f"{self.run}-orders", body, key.encode(), headers)


class World:
    """The account of one run."""

    def __init__(self, plan: Plan, nursery: Nursery, stores: Mapping[str, SqlStore]) -> None:
        self.plan = plan
        self._nursery = nursery
        self._stores = stores
        self._doomed: list[Message] = []
        self._started = 0

    async def start(self, role: str, failpoint: str = "") -> Child:
        """Start a process."""
        self._started += 1
        stem = self.plan.folder / f"{self.plan.run}-{role}"
        arrivals = stem.with_suffix(f".arrivals-{self._started}")
        task = self.plan.task(role, failpoint, arrivals)
        return await self._nursery.child(task, stem.with_suffix(".log"), arrivals)

    async def publish(self, producer: Running) -> None:
        """Publish all orders, and among them what cannot be decoded."""
        plan, messages = self.plan, list[Message]()
        for key, number in plan.orders:
            body = f'{{"key":"{key}","number":{number}}}'.encode()
            messages.append(plan.message(f"{key}-{number}", key, body))
            if f"{key}/{number}" == plan.refused:
                self._doomed.append(messages[-1])
        for number in range(plan.spoilt):
            spoilt = plan.message(f"spoilt-{number}", "b", b"\xff\x00{no json")
            messages.insert(len(messages) // 2, spoilt)
            self._doomed += [spoilt] * len(plan.handlers)
        await producer.send(messages)

    # what came of it

    async def until_done(self, within: float) -> None:
        """Return once everything that must be there is; raise AssertionError with what is not."""
        lacking = "nothing was looked at"
        try:
            async with asyncio.timeout(patient(within)):
                while lacking := await self.lacking():
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            raise AssertionError(f"{self.plan.run} after {within} s: {lacking}") from None

    async def lacking(self) -> str:
        """Say what is not there yet; nothing if all is."""
        try:
            missing = {
                "payments": sorted(self.plan.charged - await self._kinds("payments"))[:20],
                "ledger": sorted(self.plan.booked - await self._kinds("ledger"))[:20],
            }
            waiting = {role: await self.outbox(role) for role in self._stores}
        except StoreError as error:
            return str(error)
        if any(missing.values()) or any(waiting.values()):
            return f"no effect yet: {missing}; in the outboxes: {waiting}"
        letters = await self.letters()
        return f"letters: {letters}" if len(letters) < len(self._doomed) else ""

    async def until_effects(self, role: str, count: int, within: float) -> None:
        """Return once a service has so many effects."""
        async with asyncio.timeout(patient(within)):
            while len(await self.effects(role)) < count:
                await asyncio.sleep(LOOK)

    async def effects(self, role: str) -> list[Effect]:
        """Read the effects of one service in the order in which they were written."""
        return [Effect(*row) for row in await self._read(role, EFFECTS)]

    async def outbox(self, role: str) -> int:
        """Count the rows that one service has in its outbox."""
        ((count,),) = await self._read(role, WAITING)
        return int(count)

    async def letters(self) -> list[Message]:
        """Read what the dead letters hold, each id once."""
        broker = open_broker(self.plan.broker)
        found: dict[str, Message] = {}
        where = dead_letter_filter(f"{self.plan.run}-payments", broker.capabilities)
        async with broker, broker.browse(where) as deliveries:
            async for message in deliveries:
                letter = read_dead_letter(message)
                assert letter is not None
                found[letter.id] = original(message)
        return list(found.values())

    async def _kinds(self, role: str) -> set[tuple[str, str, int]]:
        return {(one.handler, one.key, one.number) for one in await self.effects(role)}

    async def _read(self, role: str, query: TextClause) -> Sequence[Any]:
        async with self._stores[role].connections.reading() as connection:
            rows = await connection.execute(query, {"run": f"{self.plan.run}-{role}"})
            return rows.all()

    # what must be so

    async def faults(self) -> list[str]:
        """Say everything that is not as promised."""
        found: list[str] = []
        for role, expected in (("payments", self.plan.charged), ("ledger", self.plan.booked)):
            effects = await self.effects(role)
            times = Counter((one.handler, one.id) for one in effects)
            found += [f"{role}: {one} {n} times" for one, n in times.items() if n > 1]
            if len(effects) != len(expected):
                found.append(f"{role}: {len(effects)} effects in place of {len(expected)}")
            found += [f"{role}: {lane} out of order" for lane in disorder(effects)]
        letters = Counter(map(self._whole, await self.letters()))
        if letters != Counter(map(self._whole, self._doomed)):
            found.append(f"dead letters: {letters}")
        found += [f"{role}: outbox not empty" for role in self._stores if await self.outbox(role)]
        return found

    def _whole(self, message: Message) -> tuple[object, ...]:
        """Give all of a message; MQTT has no place for a key."""
        mqtt = self.plan.broker.startswith("mqtt")
        headers = sorted(message.headers, key=str) if mqtt else message.headers
        return (message.body, None if mqtt else message.key, *headers)


def disorder(effects: Sequence[Effect]) -> list[Lane]:
    """Name the handlers and keys whose numbers do not grow."""
    lanes: dict[Lane, list[int]] = defaultdict(list)
    for effect in effects:
        lanes[effect.handler, effect.key].append(effect.number)
    return [lane for lane, numbers in lanes.items() if numbers != sorted(numbers)]


async def make_table(store: SqlStore) -> None:
    """Make the table of effects in an open store."""
    async with store.connections.writing() as connection:
        await connection.execute(text(TABLE[connection.dialect.name]))
