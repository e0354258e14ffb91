"""One poisoned key among a thousand: the others hardly notice, and its events wait in order.

What it costs is counted here; how long that takes is a measure, ``python -m bench parked_key``.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, cast

from choreo import Event, Retry, Service
from choreo.park import Park
from choreo.store.lot import Line, Parked
from choreo.store.memory import MemoryStore, MemoryTransaction
from choreo.store.memory.ledger import MemoryLedger
from choreo.store.port import Ledger
from choreo.testing import Harness, ManualClock

KEYS = 1_000
EACH = 4
GROWTH = 1.05
SECOND = timedelta(seconds=1)
READ = "events read of a line"
PARK = Park(initial=SECOND, maximum=2 * SECOND, attempts=1_000)


class Job(Event, topic="jobs", key="key"):
    key: str
    number: int


class Counted:
    """An object whose calls are counted by name, and those of its parts."""

    def __init__(self, inner: object, calls: Counter[str]) -> None:
        self._inner = inner
        self._calls = calls

    def __getattr__(self, name: str) -> object:
        value = getattr(self._inner, name)
        if name in {"order", "streams", "lot", "flights", "outbox"}:
            return Counted(value, self._calls)
        if name == "first":
            return self._reading(cast("Callable[..., Awaitable[Sequence[Parked]]]", value))
        if not callable(value):
            return value
        self._calls[name] += 1
        return cast("Callable[..., Awaitable[object]]", value)

    def _reading(
        self, first: Callable[..., Awaitable[Sequence[Parked]]]
    ) -> Callable[[Line, int], Awaitable[Sequence[Parked]]]:
        async def counting(line: Line, limit: int) -> Sequence[Parked]:
            found = await first(line, limit)
            self._calls["first"] += 1
            self._calls[READ] += len(found)
            return found

        return counting


class CountingStore:
    """A store in memory that counts what is asked of it: each call is a transaction elsewhere."""

    durable = True
    transaction = MemoryTransaction
    url = "memory://"

    def __init__(self, clock: ManualClock) -> None:
        self._store = MemoryStore(clock=clock)
        self.calls: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self._store.__aexit__(kind, error, traceback)

    async def ledger(self, service: str, handlers: Sequence[str], /) -> Ledger[MemoryTransaction]:
        ledger: MemoryLedger = await self._store.ledger(service, handlers)
        return cast("Ledger[MemoryTransaction]", Counted(ledger, self.calls))

    def unavailable(self, error: BaseException, /) -> bool:
        return self._store.unavailable(error)


class Shop:
    """A service one of whose keys may fail."""

    def __init__(self, poisoned: str | None) -> None:
        self.poisoned = poisoned
        self.clock = ManualClock()
        self.store = CountingStore(self.clock)
        self.service: Service[Any] = Service("shop", store=self.store, retry=Retry(attempts=1))
        self.attempts: Counter[str] = Counter()
        self.seen: list[tuple[str, int]] = []
        self.read = self.tried = 0
        """Events that were read of the lot while the key failed, and attempts from there."""
        self.service.on(Job, on_failure=PARK)(self.handle)

    async def handle(self, event: Job) -> None:
        """Count the attempt."""
        self.attempts[event.key] += 1
        if event.key == self.poisoned:
            raise ValueError("poison")
        self.seen.append((event.key, event.number))

    async def work(self) -> float:
        """Handle all there is, with time between; tell the transactions per event of the others."""
        source = Service("source")
        async with Harness(source, self.service, clock=self.clock) as world:
            for number in range(EACH):
                jobs = [Job(key=f"k{key}", number=number) for key in range(KEYS)]
                await world.running(source).publish(jobs)
                await world.settle()
                await world.advance(3 * SECOND)
            self.read = self.store.calls.pop(READ, 0)
            self.tried = self.attempts["k500"] - 1
            spent = sum(self.store.calls.values())
            self.poisoned = None
            await world.advance(3 * SECOND)
            assert not world.dead_letters
        return spent / EACH / (KEYS - 1)


async def test_the_other_999_keys_cost_what_they_cost_without_it_and_its_own_follow_in_order() -> (
    None
):
    sound, poisoned = Shop(None), Shop("k500")

    before, after = await sound.work(), await poisoned.work()

    assert after <= GROWTH * before, f"{before:.3f} transactions an event, then {after:.3f}"
    assert {n for key, n in poisoned.attempts.items() if key != "k500"} == {EACH}
    assert poisoned.attempts["k500"] > EACH
    assert [n for key, n in poisoned.seen if key == "k500"] == list(range(EACH))
    assert len(poisoned.seen) == KEYS * EACH
    assert poisoned.read == poisoned.tried > 1, "what waits behind it is read for nothing"
