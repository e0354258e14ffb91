"""Acknowledgements: in order, once, on the connection they belong to."""

import asyncio
from random import Random

from choreo_mqtt import MqttBroker
from tests.mqtt.fake_broker import FakeBroker
from tests.mqtt.listener import Recorder, numbers, receive, subscription
from tests.patience import patient

QOS_0 = 0


async def test_acknowledgements_keep_the_order_of_receipt(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M4: settled in any order, acknowledged as the done prefix; the broker cuts us otherwise."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        (connection,) = fake.consumers
        mids = Random(4).sample(range(1, 60000), 100)
        for mid in mids:
            connection.deliver(mid)
        got = await receive(consumer, 100)
        Random(5).shuffle(got)
        for delivery in got:
            consumer.settle([delivery])
            await asyncio.sleep(0)
        await fake.until(lambda: len(connection.acked) == 100)

    assert connection.acked == mids
    assert connection.violation is None


async def test_nothing_is_acknowledged_before_it_is_settled(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M1, M5: and what is not acknowledged is not handed over twice on one connection."""
    async with (
        MqttBroker(fake.url(keepalive=1)) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        (connection,) = fake.consumers
        for mid in (1, 2, 3):
            connection.deliver(mid, body=b"%d" % mid)
        first, second, _ = await receive(consumer, 3)
        consumer.settle([second])
        before = connection.pings
        await fake.until(lambda: connection.pings > before)
        assert connection.acked == []
        consumer.settle([first])
        await fake.until(lambda: connection.acked == [1, 2])

    assert connection.acked == [1, 2]


async def test_settling_twice_acknowledges_once(fake: FakeBroker, listener: Recorder) -> None:
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        (connection,) = fake.consumers
        for mid in (7, 8):
            connection.deliver(mid)
        first, second = await receive(consumer, 2)
        for _ in range(2):
            consumer.settle([second, first])
            await consumer.flush()
        await fake.until(lambda: connection.acked == [7, 8])

    assert connection.violation is None


async def test_an_acknowledgement_of_a_dead_connection_reaches_no_other(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M3: packet ids begin at 1 again, and belong to other messages."""
    fake.session_present = lambda _: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        fake.consumers[0].deliver(1, body=b"1")
        old = await receive(consumer, 1)
        fake.consumers[0].cut()
        await fake.until(lambda: len(fake.consumers) == 2)
        fake.consumers[1].deliver(1, body=b"2")
        new = await receive(consumer, 1)
        consumer.settle(old)
        await consumer.flush()
        assert fake.consumers[1].acked == []
        consumer.settle(new)
        await fake.until(lambda: fake.consumers[1].acked == [1])

    assert [old[0].epoch < new[0].epoch, old[0].position < new[0].position] == [True, True]
    assert old[0].stream == new[0].stream


async def test_nothing_new_is_handed_over_until_the_old_work_has_ended(
    fake: FakeBroker, listener: Recorder
) -> None:
    """The same message must not run twice at a time."""
    fake.session_present = lambda _: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        fake.consumers[0].deliver(1, body=b"1")
        await receive(consumer, 1)
        listener.may_end.clear()
        fake.consumers[0].cut()
        await fake.until(lambda: len(fake.consumers) == 2)
        fake.consumers[1].deliver(1, body=b"1")
        async with asyncio.timeout(patient(5)):
            while not broker._consumers[0]._buffer:
                await asyncio.sleep(0.01)
        polling = asyncio.ensure_future(consumer.poll(1))
        await asyncio.wait([polling], timeout=0.1)
        assert not polling.done()
        assert "reconnected" not in listener.kinds
        listener.may_end.set()
        assert numbers(list(await polling)) == [1]
        assert "reconnected" in listener.kinds

    assert listener.revoked == [("mqtt/choreo-group",)]


async def test_a_span_at_its_limit_rests_until_its_oldest_is_settled(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M5: bounded head of line; and the broker is told not to send more."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(max_span=5), listener) as consumer,
    ):
        for mid in range(1, 11):
            fake.consumers[0].deliver(mid)
        got = await receive(consumer, 5)
        consumer.settle(got[1:])
        polling = asyncio.ensure_future(consumer.poll(10))
        await asyncio.wait([polling], timeout=0.05)
        assert not polling.done()
        consumer.settle(got[:1])
        assert len(await polling) == 5

    assert fake.consumers[0].receive_maximum == 5


async def test_messages_of_qos_0_are_handed_over_and_not_acknowledged(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A device decides with which QoS it publishes."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        fake.consumers[0].deliver(0, body=b"0", flags=QOS_0)
        fake.consumers[0].deliver(9, body=b"1")
        got = await receive(consumer, 2)
        consumer.settle(got)
        await fake.until(lambda: fake.consumers[0].acked == [9])

    assert numbers(got) == [0, 1]


async def test_leaving_acknowledges_what_is_settled_and_says_goodbye(
    fake: FakeBroker, listener: Recorder
) -> None:
    async with MqttBroker(fake.url()) as broker:
        async with broker.subscribe(subscription(), listener) as consumer:
            for mid in (1, 2, 3):
                fake.consumers[0].deliver(mid)
            consumer.settle((await receive(consumer, 3))[:2])

        assert fake.consumers[0].acked == [1, 2]
    assert [each.goodbye for each in fake.connections] == [b"", b""]
