"""Parking over restarts and between processes, on real databases."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from choreo import Context, Event, Retry, Service
from choreo.park import Park
from choreo.runner import started

PARK = Park(initial=timedelta(milliseconds=50), maximum=timedelta(milliseconds=50), attempts=2)
KEYS = 12
EACH = 5


class Work(Event, topic="work", key="key"):
    key: str
    number: int


def service(
    url: str, broker: str, seen: list[tuple[str, int]], broken: Callable[[Work], bool]
) -> Service:
    # Many keys fail alike here, which must not be taken for an outage.
    shop = Service("shop", broker=broker, store=url, retry=Retry(attempts=1), outage_keys=0)

    @shop.on(Work, on_failure=PARK)
    async def handle(event: Work, ctx: Context) -> None:
        await asyncio.sleep(0.001)
        if broken(event):
            raise OSError("not now")
        seen.append((event.key, event.number))

    return shop


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
async def test_after_a_fix_several_processes_share_what_is_parked_and_keep_its_order(
    url: str,
) -> None:
    """D13, R2: what waits outlives its process; each key is worked on by one at a time."""
    broker, seen = f"memory://{uuid4()}", list[tuple[str, int]]()
    broken = service(url, broker, seen, lambda event: event.number == 1)
    async with started(broken) as running:
        await running.publish(
            [Work(key=f"k{key}", number=n) for n in range(EACH) for key in range(KEYS)]
        )
        assert running.worker is not None
        while len(seen) < KEYS or running.worker.held:
            await asyncio.sleep(0.01)
    assert sorted(seen) == sorted((f"k{key}", 0) for key in range(KEYS))

    mended = [service(url, broker, seen, lambda _: False) for _ in range(2)]
    async with started(mended[0]), started(mended[1]):
        while len(seen) < KEYS * EACH:
            await asyncio.sleep(0.01)

    for key in range(KEYS):
        assert [n for name, n in seen if name == f"k{key}"] == list(range(EACH))
