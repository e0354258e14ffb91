"""With ``order="key"`` a key is in order across all handlers of a service."""

import asyncio
from random import Random
from typing import Literal

import pytest

from choreo import Reject, Retry, Service
from choreo.environment import Environment
from choreo.runner import started
from choreo.testing import Harness, ManualClock
from choreo_memory import MemoryBroker
from tests.storm.events import Asked


async def test_a_key_runs_through_all_handlers_before_its_next_event_begins() -> None:
    shop = Service("shop", order="key")
    log: list[tuple[str, int, str]] = []
    random = Random(1)

    async def step(handler: str, asked: Asked) -> None:
        log.append((asked.key, asked.number, handler))
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        log.append((asked.key, asked.number, f"{handler} ended"))

    @shop.on(Asked)
    async def first(asked: Asked) -> None:
        await step("first", asked)

    @shop.on(Asked)
    async def second(asked: Asked) -> None:
        await step("second", asked)

    async with Harness(shop) as world:
        await shop.publish_many([Asked(key=str(n % 3), number=n) for n in range(30)])
        await world.settle()

    for key in "012":
        assert [(n, what) for k, n, what in log if k == key] == [
            (n, what)
            for n in range(int(key), 30, 3)
            for what in ("first", "first ended", "second", "second ended")
        ]


async def test_keys_do_not_wait_for_each_other_when_ordered_across_handlers() -> None:
    shop = Service("shop", order="key")
    met = asyncio.Event()

    @shop.on(Asked)
    async def first(asked: Asked) -> None:
        if asked.key == "a":
            await met.wait()
        met.set()

    async with Harness(shop) as world:
        await shop.publish_many([Asked(key=key, number=0) for key in "ab"])
        await world.settle()

    assert [asked.key for asked in world.handled(first)] == ["b", "a"]


@pytest.mark.parametrize("order", ["key", "handler"])
async def test_a_retry_of_one_handler_holds_the_key_for_all_only_if_asked_to_r15(
    order: Literal["key", "handler"],
) -> None:
    shop = Service("shop", order=order, retry=Retry(attempts=3))
    runs: list[int] = []
    failing: list[int] = []

    @shop.on(Asked)
    async def other(asked: Asked) -> None:
        runs.append(asked.number)

    @shop.on(Asked)
    async def failing_first(asked: Asked) -> None:
        if asked.number == 0 and len(failing) < 2:
            failing.append(0)
            runs.append(0)
            raise OSError("not yet")

    async with Harness(shop, clock=ManualClock()) as world:
        await shop.publish_many([Asked(key="a", number=n) for n in range(2)])
        await world.settle()

    assert sorted(runs) == [0, 0, 0, 1]
    assert (runs.index(1) == 3) is (order == "key")


async def test_an_event_that_one_handler_gives_up_goes_on_to_the_other() -> None:
    shop = Service("shop", order="key")

    @shop.on(Asked)
    async def refusing(_: Asked) -> None:
        raise Reject("not mine")

    @shop.on(Asked)
    async def taking(_: Asked) -> None: ...

    async with Harness(shop) as world:
        await shop.publish_many([Asked(key="a", number=n) for n in range(3)])
        await world.settle()

    assert [asked.number for asked in world.handled(taking)] == [0, 1, 2]
    assert len(world.dead_letters) == 3


async def test_a_copy_of_an_event_under_another_key_does_not_lock_both_keys() -> None:
    url, clock = "memory://copies?partitions=1", ManualClock()
    shop = Service("shop", broker=url, order="key", retry=Retry(attempts=3))
    failed: list[str] = []
    handled: list[tuple[str, int]] = []

    @shop.on(Asked)
    async def answer(asked: Asked) -> None:
        if not failed:
            failed.append(asked.key)
            raise OSError("once")
        handled.append((asked.key, asked.number))

    async with MemoryBroker(url) as broker, started(shop, environment=Environment(clock=clock)):
        await shop.publish(Asked(key="a", number=0))
        place = broker._log.topics["asked"].partitions[0]
        body, _, headers, time = place.records[0]
        place.records.append((body, b"b", headers, time))
        place.announce()
        await shop.publish(Asked(key="b", number=1))
        await clock.advance(10)

    assert handled == [("a", 0), ("b", 1)]
