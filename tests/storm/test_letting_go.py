"""Streams are revoked and services stop at the worst moment: nothing hangs, nothing overtakes."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from choreo import Context, Message, PublishError, Retry, Service, runner
from choreo.broker import Broker, Capabilities
from choreo.delivery.worker import Worker
from choreo.environment import Environment
from choreo.message import Delivery
from choreo.reason import Reason
from choreo.runner import Running, started
from choreo.testing import Harness, ManualClock
from choreo.testing.clock import rest
from choreo_memory import MemoryBroker
from choreo_memory.consumer import MemoryConsumer
from tests.patience import patient
from tests.storm.events import Asked

HOUR = Retry(attempts=9, initial=timedelta(hours=1), maximum=timedelta(hours=1))
MOMENT = timedelta(milliseconds=20)
SECOND = timedelta(seconds=1)


class Forgetful(MemoryBroker):
    """One that hands over again what was settled above something unsettled, as MQTT does."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, remembers=False)


def forgetful(url: str) -> Broker:
    return Forgetful(url)


def worker_of(running: Running) -> Worker:
    assert running.worker is not None
    return running.worker


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patient(5)):
        while not condition():
            await asyncio.sleep(0)


class Shop:
    """A service whose handler fails until it is mended, and what it handled."""

    def __init__(self, url: str, **options: Any) -> None:  # noqa: ANN401 -- validated by Settings
        self.service = Service("shop", broker=url, **options)
        self.mended = False
        self.runs: list[int] = []
        self.handled: list[int] = []
        self.service.on(Asked)(self.answer)

    async def answer(self, asked: Asked) -> None:
        self.runs.append(asked.number)
        if not self.mended:
            raise OSError("not now")
        self.handled.append(asked.number)


async def test_a_full_worker_takes_in_again_what_was_revoked_and_came_back() -> None:
    url = "memory://full-revoked?partitions=1"
    shop, other = (Shop(url, retry=HOUR, max_unsettled=3) for _ in range(2))
    async with started(shop.service) as running:
        await shop.service.publish_many([Asked(key="a", number=n) for n in range(5)])
        await reached(lambda: worker_of(running).held == 3 and bool(shop.runs))
        shop.mended = other.mended = True

        async with started(other.service):
            await reached(lambda: len(shop.handled + other.handled) == 5)

    assert shop.handled + other.handled == list(range(5))


async def test_room_for_one_more_is_used_while_the_last_ready_job_runs_long() -> None:
    shop = Service("shop", max_unsettled=2, retry=Retry(jitter=0))
    met = asyncio.Event()

    @shop.on(Asked)
    async def answer(asked: Asked, ctx: Context) -> None:
        if asked.number == 2:
            met.set()
        elif ctx.attempt == 1:
            raise OSError("both are tried again at one moment")
        elif asked.number == 1:
            await met.wait()

    async with Harness(shop, broker="memory://room?partitions=1", clock=ManualClock()) as world:
        await shop.publish_many([Asked(key=str(n), number=n) for n in range(3)])
        await world.settle()

    assert len(world.handled(answer)) == 3


async def test_a_full_service_stops_at_once(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop("memory://full-stopped", retry=HOUR, max_unsettled=3)

    async with started(shop.service) as running:
        await shop.service.publish_many([Asked(key="a", number=n) for n in range(5)])
        await reached(lambda: worker_of(running).held == 3 and bool(shop.runs))

    assert worker_of(running).held == 0
    assert "longer than its budget" not in caplog.text


async def test_a_failure_of_the_pool_is_told_even_when_the_intake_is_full() -> None:
    shop = Shop("memory://full-crashed", retry=HOUR, max_unsettled=3)

    async with started(shop.service) as running:
        await shop.service.publish_many([Asked(key="a", number=n) for n in range(5)])
        await reached(lambda: worker_of(running).held == 3 and bool(shop.runs))
        worker_of(running).crashed(RuntimeError("a bug"))

        with pytest.raises(RuntimeError, match="a bug"):
            await asyncio.wait_for(running.wait(), 5)


async def test_a_settlement_that_the_adapter_fails_at_ends_the_service_with_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: MemoryConsumer, __: Sequence[Delivery], /) -> None:
        raise LookupError("no such stream")

    monkeypatch.setattr(MemoryConsumer, "settle", broken)
    shop = Shop("memory://unsettled")
    shop.mended = True

    async with started(shop.service) as running:
        await shop.service.publish(Asked(key="a", number=0))

        with pytest.raises(LookupError):
            await asyncio.wait_for(running.wait(), 5)


@pytest.mark.parametrize("result", ["error", "return"])
async def test_a_handler_that_answers_its_cancellation_ends_with_the_stop(result: str) -> None:
    begun = asyncio.Event()
    shop = Service("shop", broker="memory://answers", drain=MOMENT, grace=SECOND, retry=HOUR)
    before = asyncio.all_tasks()

    @shop.on(Asked)
    async def answer(_: Asked) -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if result == "error":
                raise OSError("torn down") from None

    async with started(shop) as running:
        await shop.publish_many([Asked(key="a", number=n) for n in range(2)])
        await begun.wait()
        begun.clear()

    assert asyncio.all_tasks() == before
    assert not begun.is_set()
    worker = worker_of(running)
    assert (worker.held, len(worker.waiting), worker.busy) == (0, 0, 0)


async def test_a_stop_that_is_cancelled_itself_leaves_nothing_running() -> None:
    begun = asyncio.Event()
    shop = Service("shop", broker="memory://cancelled-stop")
    before = asyncio.all_tasks()

    @shop.on(Asked)
    async def answer(_: Asked) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with started(shop):
            await shop.publish(Asked(key="a", number=0))
            await begun.wait()

    serving = asyncio.create_task(serve())
    await begun.wait()
    await rest()
    serving.cancel()
    await asyncio.wait([serving])
    await rest()

    assert asyncio.all_tasks() == before


async def test_a_publish_that_never_returns_does_not_keep_a_service_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(_: MemoryBroker, __: Sequence[Message], /) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(runner, "SETTLE_BUDGET", MOMENT)
    monkeypatch.setattr(MemoryBroker, "publish", hang)
    shop = Shop("memory://hangs")
    before = asyncio.all_tasks()

    async with started(shop.service):
        publishing = asyncio.create_task(shop.service.publish(Asked(key="a", number=0)))
        await rest()
    with pytest.raises(PublishError, match="stopped"):
        await publishing

    assert asyncio.all_tasks() == before


async def test_what_outlives_its_revocation_is_not_tried_again_by_who_lost_it_k5() -> None:
    url, clock = "memory://outlives?partitions=2", ManualClock()
    environment = Environment(clock=clock)
    release = asyncio.Event()
    runs: dict[str, list[tuple[int, int]]] = {"first": [], "second": []}

    def member(name: str) -> Service:
        shop = Service("shop", broker=MemoryBroker(url, clock=clock), retry=Retry(attempts=3))

        @shop.on(Asked)
        async def answer(asked: Asked, ctx: Context) -> None:
            runs[name].append((asked.number, ctx.attempt))
            if name == "first":
                await release.wait()
                raise OSError("too late")

        return shop

    first, second = member("first"), member("second")
    async with started(first, environment=environment) as running:
        await first.publish_many([Asked(key=str(n), number=n) for n in range(8)])
        await reached(lambda: len(runs["first"]) == 8)
        async with started(second, environment=environment):
            await clock.advance(21)
            await reached(lambda: len(runs["second"]) > 0)
            taken = {number for number, _ in runs["second"]}
            release.set()
            await rest()
            await clock.advance(5)

            again = {number for number, attempt in runs["first"] if attempt > 1}
            assert taken
            assert not taken & again
            assert worker_of(running).busy == 0


async def test_a_revocation_waits_until_what_ran_is_buried() -> None:
    shop = Service("shop", retry=Retry(attempts=1), deadline=SECOND)
    begun = asyncio.Event()

    @shop.on(Asked)
    async def answer(_: Asked) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with Harness(shop, clock=ManualClock(), partitions=1) as world:
        await world.publish(Asked(key="a", number=0))
        await begun.wait()
        revoking = asyncio.create_task(worker_of(world.running(shop)).revoking(["asked-0"]))
        buried: list[Reason] = []
        revoking.add_done_callback(
            lambda _: buried.extend(letter.reason for letter in world.dead_letters)
        )
        await world.advance(2 * SECOND)
        await revoking

        assert buried == [Reason.TIMEOUT]
        assert worker_of(world.running(shop)).held == 0


async def test_nothing_overtakes_what_a_drain_gave_up_where_the_broker_forgets() -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    failed: list[int] = []
    handled: list[int] = []
    shop = Service("shop", broker="memory://forgets?partitions=1", retry=HOUR)

    @shop.on(Asked)
    async def answer(asked: Asked) -> None:
        if asked.key == "b":
            begun.set()
            await release.wait()
        elif asked.number == 0:
            failed.append(0)
            raise OSError("not now")
        handled.append(asked.number)

    async with started(shop, connect=forgetful) as running:
        await shop.publish_many(
            [Asked(key="a", number=0), Asked(key="a", number=1), Asked(key="b", number=2)]
        )
        await begun.wait()
        await reached(lambda: bool(failed))
        asyncio.get_running_loop().call_soon(release.set)

    assert handled == [2]
    assert worker_of(running).held == 0
