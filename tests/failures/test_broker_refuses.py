"""The broker will not take what an event led to: nothing is settled, nothing is lost."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from choreo import Message, PublishError, Reject, Retry, Service
from choreo.broker import Broker, TopicFilter
from choreo.environment import Environment
from choreo.reason import Reason
from choreo.runner import started
from choreo.testing import ManualClock
from choreo_memory import MemoryBroker
from tests.failures.events import Paid, Placed

DEAD = "choreo.dlq.shop"


class Gate:
    """Topics that a broker does not take for now, and how often it was asked."""

    def __init__(self, *topics: str, unknown: bool = False) -> None:
        self.topics = set(topics)
        self.unknown = unknown
        self.tries = 0
        self.tried = asyncio.Event()


class Gated(MemoryBroker):
    """A memory broker behind a gate."""

    def __init__(self, url: str, gate: Gate) -> None:
        super().__init__(url)
        self._gate = gate

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Refuse, or leave in doubt, whatever is for a shut topic; take the rest."""
        shut = {i: "shut" for i, m in enumerate(messages) if m.topic in self._gate.topics}
        await super().publish([m for i, m in enumerate(messages) if i not in shut])
        if shut:
            self._gate.tries += 1
            self._gate.tried.set()
            kind = {"unknown": shut} if self._gate.unknown else {"refused": shut}
            raise PublishError("the topic is shut", **kind)


def behind(gate: Gate) -> Callable[[str], Broker]:
    return lambda url: Gated(url, gate)


async def letters(url: str) -> list[Message]:
    async with MemoryBroker(url) as broker, broker.browse(TopicFilter(DEAD)) as found:
        return [message async for message in found]


async def test_a_dead_letter_that_is_refused_is_held_until_it_is_taken_d1() -> None:
    url, clock, gate = "memory://refused-letters", ManualClock(), Gate(DEAD)
    shop = Service("shop", broker=url)
    handled: list[str] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        if order.order == "bad":
            raise Reject("poison")
        handled.append(order.order)

    keep = MemoryBroker(url)
    environment = Environment(clock=clock)
    async with started(shop, environment=environment, connect=behind(gate)) as running:
        assert running.worker is not None
        assert running.consumer is not None
        await shop.publish_many([Placed(order="bad"), Placed(order="good")])
        await gate.tried.wait()
        for _ in range(3):
            await clock.advance(60)
        assert gate.tries >= 3
        assert handled == ["good"]
        assert running.worker.held == 1
        assert await letters(url) == []
        assert sum(p.handed - p.settled for p in running.consumer.progress()) >= 1

        gate.topics.clear()
        await clock.advance(60)
        await running.worker.idle()

    (letter,) = await letters(url)
    assert dict(letter.headers)["choreo-dlq-reason"] == Reason.REJECTED.encode()
    del keep


@pytest.mark.parametrize("unknown", [True, False])
async def test_a_handler_is_not_run_again_because_its_emits_are_not_taken(*, unknown: bool) -> None:
    url, clock, gate = f"memory://emits-{unknown}", ManualClock(), Gate("payments", unknown=unknown)
    shop = Service("shop", broker=url, retry=Retry(attempts=100))
    runs: list[str] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> Paid:
        runs.append(order.order)
        return Paid(order=order.order)

    environment = Environment(clock=clock)
    async with started(shop, environment=environment, connect=behind(gate)) as running:
        assert running.worker is not None
        await shop.publish(Placed(order="a"))
        await gate.tried.wait()
        await clock.advance(60)
        assert running.worker.held == 1

        gate.topics.clear()
        await clock.advance(60)
        await running.worker.idle()

        assert runs == ["a"]
        async with MemoryBroker(url) as broker, broker.browse(TopicFilter("payments")) as found:
            assert len([message async for message in found]) == 1


async def test_emits_that_are_refused_for_good_end_their_cause_in_the_dead_letters() -> None:
    url, clock, gate = "memory://emits-refused", ManualClock(), Gate("payments")
    shop = Service("shop", broker=url, retry=Retry(attempts=3, initial=timedelta(seconds=1)))

    @shop.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order=order.order)

    environment = Environment(clock=clock)
    async with started(shop, environment=environment, connect=behind(gate)) as running:
        assert running.worker is not None
        await shop.publish(Placed(order="a"))
        await gate.tried.wait()
        for _ in range(5):
            await clock.advance(60)
        await running.worker.idle()

        (letter,) = await letters(url)
        assert dict(letter.headers)["choreo-dlq-reason"] == Reason.HANDLER_ERROR.encode()


async def test_a_publisher_is_told_what_was_not_taken() -> None:
    gate = Gate("orders")
    shop = Service("shop", broker="memory://told")

    async with started(shop, connect=behind(gate)):
        with pytest.raises(PublishError) as caught:
            await shop.publish_many([Placed(order="a"), Placed(order="b")])

    assert set(caught.value.refused) == {0, 1}
