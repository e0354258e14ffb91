"""What ended long ago is forgotten beside the work, and not in place of it."""

from datetime import timedelta

from choreo import Event, Service
from choreo.bookkeeping import REST, SWEEP, SWEPT
from choreo.environment import Environment
from choreo.runner import started
from choreo.store.memory import MemoryStore
from choreo.store.port import Claim, End
from choreo.testing import ManualClock


class Placed(Event, topic="orders", key="order"):
    order: str


async def test_whoever_else_writes_has_a_turn_between_two_batches_o8() -> None:
    """On SQLite, which has one writer, all other processes stood still until all was forgotten."""
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    shop = Service("shop", store=store, inbox_retention=timedelta(seconds=10))
    shop.on(Placed)(_nothing)
    left: list[int] = []

    async with started(shop, environment=Environment(clock=clock)):
        ledger = await store.ledger("shop", ["_nothing"])
        keys = [(0, "urn:shop", f"event-{number}") for number in range(2 * SWEPT + 1)]
        claims = [Claim(key=key, fingerprint=bytes(16), at=clock.now()) for key in keys]
        await ledger.finish([End(claim=claim) for claim in claims])
        for seconds in (SWEEP.total_seconds(), 0.9 * REST, 0.2 * REST, REST):
            await clock.advance(seconds)
            left.append(len(await ledger.recall(keys)))

    assert left == [SWEPT + 1, SWEPT + 1, 1, 0]


async def _nothing(placed: Placed) -> None:
    """Handle it."""
