"""What comes in: bounded, sieved, and read whatever it is."""

import pytest

from choreo.broker import TopicFilter
from choreo_mqtt import MqttBroker
from tests.mqtt.fake_broker import Connection, FakeBroker, user_property
from tests.mqtt.listener import Recorder, numbers, receive, subscription

RETAINED = 3


async def test_a_backlog_that_comes_with_the_welcome_is_handed_over(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M10: more of it than may be held, before the answer to our SUBSCRIBE; order is kept."""
    fake.session_present = lambda _: True

    def backlog(connection: Connection) -> None:
        if not connection.clean_start:
            for mid in range(1, 51):
                connection.deliver(mid, body=b"%d" % mid)

    fake.greet = backlog
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(read_ahead=5), listener) as consumer,
    ):
        got = await receive(consumer, 50)
        consumer.settle(got)
        await fake.until(lambda: len(fake.consumers[-1].acked) == 50)

    assert numbers(got) == list(range(1, 51))
    assert listener.notices == []


async def test_a_full_buffer_stops_the_reading_and_not_the_pings(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A7, M6: the client's memory is bounded although the broker ignores Receive Maximum."""
    async with (
        MqttBroker(fake.url(keepalive=1, ping_timeout=0.5)) as broker,
        broker.subscribe(subscription(read_ahead=10), listener) as consumer,
    ):
        (connection,) = fake.consumers
        body = b"x" * 10_000
        for mid in range(1, 2001):
            connection.deliver(mid, body=body)
        pings = connection.pings
        await fake.until(lambda: connection.pings >= pings + 4)
        held = len(broker._consumers[0]._buffer)
        got = await receive(consumer, 2000)
        consumer.settle(got)
        await fake.until(lambda: len(connection.acked) == 2000)

    assert held == 10
    assert listener.notices == []


async def test_a_full_buffer_is_measured_in_bytes_too(fake: FakeBroker, listener: Recorder) -> None:
    """A7."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(read_ahead_bytes=100_000), listener) as consumer,
    ):
        for mid in range(1, 101):
            fake.consumers[0].deliver(mid, body=b"x" * 50_000)
        first = await consumer.poll(1)
        held = len(broker._consumers[0]._buffer)
        await receive(consumer, 99)

    assert len(first) == 1
    assert held <= 2


async def test_kept_values_are_dropped_and_acknowledged_unless_asked_for(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M21: with our flags, retain=1 on a delivery means a kept value and nothing else."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription("a", TopicFilter("b", retained=True)), listener) as consumer,
    ):
        (connection,) = fake.consumers
        connection.deliver(1, "a", b"1", flags=RETAINED)
        connection.deliver(2, "b", b"2", flags=RETAINED)
        connection.deliver(3, "a", b"3")
        got = await receive(consumer, 2)
        consumer.settle(got)
        await fake.until(lambda: connection.acked == [1, 2, 3])

    assert [(each.topic, each.retain) for each in got] == [("b", True), ("a", False)]


async def test_what_nobody_asked_for_is_dropped_and_acknowledged(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A filter that an older version of the service left in the session."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription("a/+"), listener) as consumer,
    ):
        for mid, topic in enumerate(("old", "a/b/c", "a/b"), 1):
            fake.consumers[0].deliver(mid, topic)
        got = await receive(consumer, 1)
        consumer.settle(got)
        await fake.until(lambda: fake.consumers[0].acked == [1, 2, 3])

    assert got[0].topic == "a/b"


async def test_strings_that_clients_refuse_do_not_block_the_stream(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A message that cannot be read would come again after each reconnect, for ever (M17)."""
    strange = [b"\xef\xbb\xbfbom", b"\xff\xfe", b"", b"line\nline", b"\xed\xa0\x80"]
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        properties = b"".join(user_property("n", value) for value in strange)
        fake.consumers[0].deliver(1, properties=properties)
        (got,) = await receive(consumer, 1)

    assert [value for _, value in got.headers] == strange
    assert len(fake.consumers) == 1


async def test_a_packet_that_breaks_the_protocol_replaces_the_connection(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M17: never a client that looks alive and hears nothing."""
    fake.session_present = lambda _: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        for count, broken in enumerate(
            (b"\x32\x03\x00\x09t", b"\xf0\x00", b"\x34\x05\x00\x01t\x00\x01")
        ):
            fake.consumers[-1].writer.write(broken)
            await listener.heard("reconnected", count + 1)
        fake.consumers[-1].deliver(1)
        await receive(consumer, 1)


async def test_an_error_while_a_message_is_taken_replaces_the_connection(
    fake: FakeBroker, listener: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M17: an exception in a callback is no quiet death."""
    fake.session_present = lambda _: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(broker._consumers[0]._buffer, "put", None)
            fake.consumers[0].deliver(1)
            await fake.until(lambda: len(fake.consumers) == 2)
        await listener.heard("reconnected")
        fake.consumers[1].deliver(1)
        await receive(consumer, 1)
