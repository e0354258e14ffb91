"""Sessions on a strict broker: begun, resumed, lost, refused, taken over, dead."""

import asyncio
import time

import pytest

from choreo.broker import TopicFilter
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost
from choreo_mqtt import MqttBroker
from tests.mqtt.fake_broker import FakeBroker
from tests.mqtt.listener import Recorder, receive, subscription


async def test_a_session_the_broker_still_has_is_not_subscribed_again(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M21."""
    fake.session_present = lambda _: len(fake.consumers) > 1
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
    fake.session_present = lambda _: True
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
        assert listener.kinds == ["connection_lost", "session_lost", "reconnected"]
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


async def test_a_silent_broker_is_given_up_and_the_connection_replaced(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A black hole: TCP stands, nothing answers."""
    fake.session_present = lambda _: len(fake.consumers) > 1
    async with (
        MqttBroker(fake.url(keepalive=1, ping_timeout=1.0)) as broker,
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
    fake.session_present = lambda _: len(fake.consumers) > 1
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

    assert len(fake.consumers) == 4


async def test_a_broker_that_goes_on_refusing_us_is_reported_and_asked_again(
    fake: FakeBroker, listener: Recorder
) -> None:
    """Credentials that were taken away, and given back."""
    fake.session_present = lambda _: len(fake.consumers) > 1
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


async def test_a_server_keep_alive_is_obeyed(fake: FakeBroker, listener: Recorder) -> None:
    fake.connack_properties = b"\x13" + (1).to_bytes(2)
    async with (
        MqttBroker(fake.url(keepalive=600)) as broker,
        broker.subscribe(subscription(), listener),
    ):
        await fake.until(lambda: fake.consumers[0].pings > 0)


async def test_a_connection_that_breaks_while_subscribing_is_replaced(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A4: what was waited for is cancelled, the waiting is not."""
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        fake.answers_subscribe = False
        fake.consumers[0].cut()
        for count in (2, 3):
            await fake.until(lambda: len(fake.consumers) == count and fake.consumers[-1].filters)  # noqa: B023 -- awaited here
            fake.consumers[-1].cut()
        fake.answers_subscribe = True
        await listener.heard("reconnected")
        fake.consumers[-1].deliver(1)
        await receive(consumer, 1)


async def test_a_first_connection_that_breaks_while_subscribing_says_so(
    fake: FakeBroker, listener: Recorder
) -> None:
    """A4."""
    fake.answers_subscribe = False
    async with MqttBroker(fake.url()) as broker:
        entering = asyncio.ensure_future(broker.subscribe(subscription(), listener).__aenter__())
        await fake.until(lambda: fake.consumers and fake.consumers[0].filters)
        fake.consumers[0].cut()
        with pytest.raises(ConnectionLost):
            await entering


async def test_browsing_what_may_not_be_read_is_refused_on_entering(fake: FakeBroker) -> None:
    """M9."""
    fake.grant = lambda name: 0x87 if name == "secret" else 1
    async with MqttBroker(fake.url()) as broker:
        with pytest.raises(ConfigurationError, match="'secret'"):
            await broker.browse(TopicFilter("secret")).__aenter__()


async def test_a_browser_outlives_a_lost_connection(fake: FakeBroker) -> None:
    async with (
        MqttBroker(fake.url()) as broker,
        broker.browse(TopicFilter("t"), follow=True) as reading,
    ):
        for count in (1, 2):
            browsers = [each for each in fake.publishers if "browse" in each.client_id]
            assert len(browsers) == count
            browsers[-1].deliver(1, body=b"%d" % count)
            assert (await anext(reading)).body == b"%d" % count
            connections = len(fake.connections)
            browsers[-1].cut()
            await fake.until(
                lambda: (
                    len(fake.connections) > connections  # noqa: B023 -- awaited here
                    and len(fake.connections[-1].filters) == 3
                )
            )
