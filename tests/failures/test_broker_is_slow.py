"""The broker takes its time over what an event led to: only the event's own key waits for it."""

import asyncio
from collections.abc import Callable, Sequence

from choreo import Message, Retry, Service
from choreo.broker import Broker, TopicFilter
from choreo.runner import started
from choreo_memory import MemoryBroker
from tests.failures.events import Paid, Placed


class Slow(MemoryBroker):
    """A memory broker that holds back its word about one topic until it is let go."""

    def __init__(self, url: str, topic: str = "payments") -> None:
        super().__init__(url)
        self.topic = topic
        self.let_go = asyncio.Event()
        self.asked = asyncio.Event()
        self.calls: list[int] = []

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Take what is of the topic when it may, and all else at once."""
        if any(message.topic == self.topic for message in messages):
            self.calls.append(len(messages))
            self.asked.set()
            await self.let_go.wait()
        await super().publish(messages)


def on(broker: Slow) -> Callable[[str], Broker]:
    return lambda _: broker


def till(url: str, runs: list[str], everyone: asyncio.Event, keys: int) -> Service:
    shop = Service("shop", broker=url, concurrency=1)

    @shop.on(Placed)
    async def charge(order: Placed) -> Paid:
        runs.append(order.order)
        if len(runs) == keys:
            everyone.set()
        return Paid(order=order.order)

    return shop


async def test_handlers_go_on_while_the_broker_takes_what_others_emitted() -> None:
    url, runs, everyone = "memory://slow-others", list[str](), asyncio.Event()
    slow = Slow(url)

    async with started(till(url, runs, everyone, keys=20), connect=on(slow)) as running:
        await running.publish([Placed(order=f"{n}") for n in range(20)])
        await everyone.wait()

        assert running.worker is not None
        assert running.worker.held == 20
        slow.let_go.set()
        await running.worker.idle()

    assert sum(slow.calls) == 20
    assert len(slow.calls) <= 2


async def test_handlers_go_on_while_the_broker_takes_the_letters_of_others_d1() -> None:
    url, runs, everyone = "memory://slow-letters", list[str](), asyncio.Event()
    slow = Slow(url, "choreo.dlq.shop")
    once = Retry(attempts=1)
    shop = Service("shop", broker=url, concurrency=1, retry=once, outage_keys=0)

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        runs.append(order.order)
        if len(runs) == 20:
            everyone.set()
        raise ValueError(order.order)

    async with started(shop, connect=on(slow)) as running:
        await running.publish([Placed(order=f"{n}", number=m) for m in range(2) for n in range(20)])
        await everyone.wait()

        assert sorted(runs) == sorted(f"{n}" for n in range(20))
        assert running.worker is not None
        assert running.worker.held == 40
        slow.let_go.set()
        await running.worker.idle()

    assert sorted(runs) == sorted([*(f"{n}" for n in range(20))] * 2)
    assert sum(slow.calls) == 40
    assert len(slow.calls) <= 4


async def test_an_event_waits_for_the_broker_to_take_what_its_key_emitted_before() -> None:
    url, runs, everyone = "memory://slow-key", list[str](), asyncio.Event()
    slow = Slow(url)

    async with started(till(url, runs, everyone, keys=2), connect=on(slow)) as running:
        await running.publish([Placed(order="a"), Placed(order="a"), Placed(order="b")])
        await everyone.wait()
        await slow.asked.wait()

        assert sorted(runs) == ["a", "b"]
        assert running.worker is not None
        slow.let_go.set()
        await running.worker.idle()

    assert sorted(runs) == ["a", "a", "b"]


async def test_a_stop_waits_for_the_broker_to_take_what_was_emitted() -> None:
    url, runs, everyone = "memory://slow-stop", list[str](), asyncio.Event()
    slow, keep = Slow(url), MemoryBroker(url)

    async with started(till(url, runs, everyone, keys=2), connect=on(slow)) as running:
        await running.publish([Placed(order="a"), Placed(order="b")])
        await everyone.wait()
        await slow.asked.wait()
        asyncio.get_running_loop().call_later(0, slow.let_go.set)
    async with MemoryBroker(url) as broker, broker.browse(TopicFilter("payments")) as found:
        paid = [message async for message in found]

    assert len(paid) == 2
    assert running.worker is not None
    assert running.worker.held == 0
    del keep


async def test_what_the_broker_has_not_taken_when_time_is_up_stays_unsettled() -> None:
    url, runs, everyone = "memory://slow-cut", list[str](), asyncio.Event()
    slow = Slow(url)

    async with started(till(url, runs, everyone, keys=1), connect=on(slow)) as running:
        assert running.worker is not None
        assert running.consumer is not None
        await running.publish([Placed(order="a")])
        await slow.asked.wait()
        await running.worker.close()
        slow.let_go.set()
        await running._publisher.close()

        assert running.worker.held == 1
        assert sum(p.handed - p.settled for p in running.consumer.progress()) == 1
