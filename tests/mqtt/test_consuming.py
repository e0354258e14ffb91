"""Consuming from a strict broker: acknowledgements, epochs, sessions, back-pressure."""

import asyncio
import time
from random import Random

import pytest

from choreo.broker import TopicFilter
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost
from choreo_mqtt import MqttBroker
from tests.mqtt.fake_broker import Connection, FakeBroker, user_property
from tests.mqtt.listener import Recorder, numbers, receive, subscription

RETAINED = 3
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
    fake.session_present = lambda connection: len(fake.consumers) > 1
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
    fake.session_present = lambda connection: len(fake.consumers) > 1
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
        await listener.heard("reconnected")
        polling = asyncio.ensure_future(consumer.poll(1))
        await asyncio.wait([polling], timeout=0.1)
        assert not polling.done()
        listener.may_end.set()
        assert numbers(list(await polling)) == [1]

    assert listener.revoked == [("mqtt/choreo-group",)]


async def test_a_session_the_broker_still_has_is_not_subscribed_again(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M21."""
    fake.session_present = lambda connection: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription("a", "b/+"), listener),
    ):
        for count in range(1, 4):
            fake.consumers[-1].cut()
            await listener.heard("reconnected", count)

    assert [each.filters != [] for each in fake.consumers] == [True, False, False, False]
    assert "session_lost" not in listener.kinds


async def test_a_session_found_at_start_is_subscribed_again_without_kept_values(
    fake: FakeBroker, listener: Recorder
) -> None:
    """The session's filters may be those of an older version of the service."""
    fake.session_present = lambda connection: True
    filters = subscription("a", TopicFilter("b/+", retained=True))
    async with MqttBroker(fake.url()) as broker, broker.subscribe(filters, listener):
        pass

    # QoS 1, no Retain As Published; Retain Handling 2 (never) and 1 (only if new).
    assert fake.consumers[0].filters == [("a", 0x21), ("b/+", 0x11)]


async def test_a_lost_session_is_reported_and_subscribed_again(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M8."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription("a"), listener) as consumer,
    ):
        fake.consumers[0].cut()
        await listener.heard("reconnected")
        assert listener.kinds == ["session_lost", "reconnected"]
        fake.consumers[1].deliver(1, "a")
        await receive(consumer, 1)

    assert [name for name, _ in fake.consumers[1].filters] == ["a"]


async def test_the_client_id_is_the_groups_and_the_session_is_kept(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M8."""
    for _ in range(2):
        async with (
            MqttBroker(fake.url()) as broker,
            broker.subscribe(subscription(group="payments"), listener),
        ):
            pass

    assert [each.client_id for each in fake.consumers] == ["choreo-payments"] * 2
    assert len({each.client_id for each in fake.publishers}) == 2


async def test_entering_waits_for_every_filter_to_be_granted(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M9: and names those that were not."""
    codes = {"good": 1, "denied": 0x87, "weak": 0}
    fake.grant = lambda name: codes[name]
    async with MqttBroker(fake.url()) as broker:
        with pytest.raises(ConfigurationError) as failed:
            await broker.subscribe(subscription(*codes), listener).__aenter__()

    assert "'denied'" in str(failed.value)
    assert "'weak'" in str(failed.value)
    assert "'good'" not in str(failed.value)
    assert fake.consumers[0].goodbye == b"\x00\x05\x11\x00\x00\x00\x00", "the session is given up"


async def test_a_broker_that_does_not_answer_a_subscribe_is_not_waited_for_for_ever(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M9."""
    fake.answers_subscribe = False
    async with MqttBroker(fake.url(connect_timeout=0.2)) as broker:
        with pytest.raises(ConnectionLost):
            await broker.subscribe(subscription(), listener).__aenter__()


async def test_a_backlog_that_comes_with_the_welcome_is_handed_over(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M10: more of it than may be held, before the answer to our SUBSCRIBE; order is kept."""
    fake.session_present = lambda connection: True

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
    fake.session_present = lambda connection: len(fake.consumers) > 1
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
    fake.session_present = lambda connection: len(fake.consumers) > 1
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


async def test_a_silent_broker_is_given_up_and_the_connection_replaced(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A black hole: TCP stands, nothing answers."""
    fake.session_present = lambda connection: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url(keepalive=1, ping_timeout=0.3)) as broker,
        broker.subscribe(subscription(), listener),
    ):
        fake.answers_pings = False
        await listener.heard("rebuilt")
        fake.answers_pings = True
        await listener.heard("reconnected")

    assert len(fake.consumers) == 2


async def test_a_blocked_loop_does_not_cost_the_connection(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M19, as far as we decide: our own sleep is not the broker's silence."""
    async with (
        MqttBroker(fake.url(keepalive=1, ping_timeout=0.3)) as broker,
        broker.subscribe(subscription(), listener),
    ):
        (connection,) = fake.consumers
        for _ in range(3):
            pings = connection.pings
            time.sleep(1.2)  # noqa: ASYNC251 -- the very thing under test
            await fake.until(lambda: connection.pings > pings)  # noqa: B023 -- awaited here

    assert len(fake.consumers) == 1
    assert listener.notices == []


async def test_a_takeover_war_ends_with_a_clear_error(fake: FakeBroker, listener: Recorder) -> None:
    """M11: more than three a minute, told by the broker's reason code."""
    fake.session_present = lambda connection: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        polling = asyncio.ensure_future(consumer.poll(1))
        for count in range(1, 5):
            fake.consumers[-1].disconnect(0x8E)
            await listener.heard("taken_over", count)
        with pytest.raises(BrokerError, match="client id 'choreo-group'"):
            await polling
        with pytest.raises(BrokerError):
            await consumer.poll(1)

    assert len(fake.consumers) == 5


async def test_a_broker_that_goes_on_refusing_us_is_reported_and_asked_again(
    fake: FakeBroker, listener: Recorder
) -> None:
    """Credentials that were taken away, and given back."""
    fake.session_present = lambda connection: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        fake.connect_code = 0x87
        fake.consumers[0].cut()
        with pytest.raises(BrokerError, match="Not authorized"):
            await consumer.poll(1)
        fake.connect_code = 0
        await listener.heard("reconnected")
        fake.consumers[-1].deliver(1)
        await receive(consumer, 1)


async def test_two_subscriptions_with_one_client_id_are_refused(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M11."""
    async with (
        MqttBroker(fake.url(client_id="one")) as broker,
        broker.subscribe(subscription(), listener),
    ):
        with pytest.raises(ConfigurationError, match="'one'"):
            await broker.subscribe(subscription(group="other"), listener).__aenter__()


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


async def test_a_server_keep_alive_is_obeyed(fake: FakeBroker, listener: Recorder) -> None:
    fake.connack_properties = b"\x13" + (1).to_bytes(2)
    async with (
        MqttBroker(fake.url(keepalive=600)) as broker,
        broker.subscribe(subscription(), listener),
    ):
        await fake.until(lambda: fake.consumers[0].pings > 0)
