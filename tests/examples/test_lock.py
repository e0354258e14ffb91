"""The lock that is committed beside the example says what its services do."""

import re
from pathlib import Path

import pytest

from choreo.contracts.lock import Lock, lock_text
from choreo.contracts.locking import lock_of
from choreo.observer import observer
from choreo.testing.field_reads import FieldReads
from choreo.testing.lock_recording import seen_of
from examples.order_fulfilment.__main__ import fulfil
from examples.order_fulfilment.display import PlainDisplay
from examples.order_fulfilment.feed import ORDERS
from examples.order_fulfilment.services import inventory, notification, order, payment, shipping

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "examples" / "order_fulfilment" / "choreo.lock"
SERVICES = (inventory, notification, order, payment, shipping)


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_the_committed_lock_is_what_a_whole_run_shows() -> None:
    """Moved lines apart; `pytest tests/examples --choreo-lock=write` writes it anew."""
    reads = FieldReads()
    token = observer.set(reads)

    await fulfil("memory://", ORDERS, PlainDisplay(), codec="json")

    observer.reset(token)
    reads.close()
    lock = Lock(
        services={one.name: lock_of(one, ROOT, seen_of(reads, one, ROOT)) for one in SERVICES}
    )
    kept, seen = (
        re.sub(r"\.py:\d+", ".py", text) for text in (COMMITTED.read_text(), lock_text(lock))
    )
    assert seen.splitlines() == kept.splitlines()
