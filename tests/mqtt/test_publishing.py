"""Publishing against a strict broker: the window, the fates, and what is never sent twice."""

import asyncio

import pytest

from choreo.errors import BrokerError, ConfigurationError, ConnectionLost, PublishError
from choreo.message import Message
from choreo_mqtt import MqttBroker
from tests.mqtt.fake_broker import FakeBroker
from tests.mqtt.listener import Recorder, numbered, subscription

RECEIVE_MAXIMUM = b"\x21"
MAXIMUM_PACKET_SIZE = b"\x27"
MAXIMUM_QOS_0 = b"\x24\x00"


async def test_no_more_is_in_flight_than_the_broker_takes(fake: FakeBroker) -> None:
    """M16, M18."""
    fake.connack_properties = RECEIVE_MAXIMUM + (7).to_bytes(2)
    fake.answer = lambda _: None
    async with MqttBroker(fake.url()) as broker:
        with pytest.raises(PublishError) as failed:
            await broker.publish(numbered("t", 500))

    assert sorted(failed.value.unknown) == list(range(500))
    assert [len(each.published) for each in fake.publishers] == [7]


async def test_a_small_window_of_ours_holds_too(fake: FakeBroker) -> None:
    """M16."""
    fake.answer = lambda _: None
    async with MqttBroker(fake.url(publish_window=3)) as broker:
        with pytest.raises(PublishError):
            await broker.publish(numbered("t", 50))

    assert len(fake.publishers[0].published) == 3


async def test_a_broker_that_answers_slowly_gets_everything_in_order(fake: FakeBroker) -> None:
    """M16."""
    fake.connack_properties = RECEIVE_MAXIMUM + (2).to_bytes(2)
    async with MqttBroker(fake.url()) as broker:
        await asyncio.gather(broker.publish(numbered("a", 100)), broker.publish(numbered("b", 100)))

    published = fake.publishers[0].published
    for topic in ("a", "b"):
        assert [int(p.body) for p in published if p.topic == topic] == list(range(100))


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
async def test_a_refusing_answer_is_a_refusal(fake: FakeBroker, code: int) -> None:
    """M14."""
    fake.answer = lambda incoming: code if incoming.body == b"1" else 0
    async with MqttBroker(fake.url()) as broker:
        with pytest.raises(PublishError) as failed:
            await broker.publish(numbered("t", 3))

    assert list(failed.value.refused) == [1]
    assert not failed.value.unknown


async def test_nobody_subscribing_is_success_and_is_noticed_once(
    fake: FakeBroker, listener: Recorder
) -> None:
    """M14."""
    fake.answer = lambda _: 0x10
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription("other"), listener),
    ):
        for _ in range(5):
            await broker.publish([Message("t", b"1"), Message("kept", b"1", retain=True)])

    assert listener.kinds == ["no_subscribers"]


async def test_what_is_unanswered_when_the_connection_breaks_is_unknown_and_never_sent_again(
    fake: FakeBroker,
) -> None:
    """M15: nothing is resent behind our back, and no session exists that could do it."""
    fake.answer = lambda incoming: 0 if incoming.body in {b"0", b"9"} else None
    async with MqttBroker(fake.url(publish_timeout=5)) as broker:
        publishing = asyncio.ensure_future(broker.publish(numbered("t", 4)))
        await fake.until(lambda: len(fake.publishers[0].published) == 4)
        fake.publishers[0].cut()
        with pytest.raises(PublishError) as failed:
            await publishing
        await fake.until(lambda: len(fake.publishers) == 2)
        await broker.publish([Message("t", b"9")])

    assert sorted(failed.value.unknown) == [1, 2, 3]
    assert not failed.value.refused
    assert [p.body for p in fake.publishers[1].published] == [b"9"]
    assert all(each.clean_start for each in fake.publishers)


async def test_nothing_follows_a_message_of_unknown_fate_in_the_same_call(fake: FakeBroker) -> None:
    """Whoever sends the unknown ones again must not bring them behind later ones."""
    fake.answer = lambda _: None
    async with MqttBroker(fake.url(publish_window=2, publish_timeout=5)) as broker:
        publishing = asyncio.ensure_future(broker.publish(numbered("t", 10)))
        await fake.until(lambda: len(fake.publishers[0].published) == 2)
        fake.answer = lambda _: 0
        fake.publishers[0].cut()
        with pytest.raises(PublishError) as failed:
            await publishing
        await fake.until(lambda: len(fake.publishers) == 2)

    assert sorted(failed.value.unknown) == list(range(10))
    assert not fake.publishers[1].published


async def test_publishing_while_disconnected_waits_for_the_connection(fake: FakeBroker) -> None:
    """M15."""
    async with MqttBroker(fake.url(publish_timeout=5)) as broker:
        fake.connect_code = 0x88
        fake.publishers[0].cut()
        await fake.until(lambda: len(fake.connections) > 1)
        publishing = asyncio.ensure_future(broker.publish(numbered("t", 3)))
        fake.connect_code = 0
        await publishing

    assert sum(len(each.published) for each in fake.publishers) == 3


async def test_publishing_while_disconnected_ends_with_nothing_known(fake: FakeBroker) -> None:
    """M15, M18: bounded, and nothing of it is sent when the broker is back."""
    async with MqttBroker(fake.url()) as broker:
        fake.connect_code = 0x88
        fake.publishers[0].cut()
        await fake.until(lambda: len(fake.connections) > 1)
        with pytest.raises(PublishError, match="not sent") as failed:
            await broker.publish(numbered("t", 3))
        fake.connect_code = 0
        tried = len(fake.connections)
        await fake.until(lambda: len(fake.connections) > tried)
        await broker.publish([Message("t", b"later")])

    assert sorted(failed.value.unknown) == [0, 1, 2]
    assert [p.body for each in fake.publishers for p in each.published] == [b"later"]


async def test_a_connection_that_answers_no_publish_is_replaced(fake: FakeBroker) -> None:
    """The progress watchdog: pings are answered, publishes are not."""
    fake.answer = lambda _: None
    async with MqttBroker(fake.url()) as broker:
        with pytest.raises(PublishError):
            await broker.publish(numbered("t", 1))
        fake.answer = lambda _: 0
        await broker.publish(numbered("t", 1))

    assert len(fake.publishers) == 2


async def test_an_oversized_message_is_refused_before_it_is_sent(fake: FakeBroker) -> None:
    """M24: a broker would cut the connection, and again with each repetition."""
    fake.connack_properties = MAXIMUM_PACKET_SIZE + (100).to_bytes(4)
    fits = 100 - (2 + 2 + 1 + 2 + 1)
    async with MqttBroker(fake.url()) as broker:
        with pytest.raises(PublishError, match="maximum of 100") as failed:
            await broker.publish([Message("t", b"x" * (fits + 1)), Message("t", b"x" * fits)])

    assert list(failed.value.refused) == [0]
    assert [len(p.body) for p in fake.publishers[0].published] == [fits]


async def test_answers_to_nothing_change_nothing(fake: FakeBroker) -> None:
    """Wrong packet ids of a confused broker."""
    async with MqttBroker(fake.url()) as broker:
        for mid in (40, 77, 65535):
            fake.publishers[0].answer(mid, 0)
        fake.answer = lambda _: 0x87
        with pytest.raises(PublishError) as failed:
            await broker.publish(numbered("t", 2))

    assert sorted(failed.value.refused) == [0, 1]


async def test_a_cancelled_publish_sends_no_more_and_disturbs_nobody(fake: FakeBroker) -> None:
    """A1, A8."""
    fake.answer = lambda _: None
    async with MqttBroker(fake.url(publish_window=2, publish_timeout=5)) as broker:
        publishing = asyncio.ensure_future(broker.publish(numbered("cancelled", 10)))
        await fake.until(lambda: len(fake.publishers[0].published) == 2)
        publishing.cancel()
        await asyncio.wait([publishing])
        other = asyncio.ensure_future(broker.publish(numbered("other", 2)))
        fake.answer = lambda _: 0
        for sent in fake.publishers[0].published[:2]:
            fake.publishers[0].answer(sent.mid, 0)
        await other

    topics = [p.topic for p in fake.publishers[0].published]
    assert topics == ["cancelled"] * 2 + ["other"] * 2


async def test_a_broker_without_qos_1_is_refused(fake: FakeBroker) -> None:
    """M2."""
    fake.connack_properties = MAXIMUM_QOS_0

    with pytest.raises(ConfigurationError, match="QoS 1"):
        await MqttBroker(fake.url()).__aenter__()


@pytest.mark.parametrize(("code", "error"), [(0x86, ConfigurationError), (0x88, ConnectionLost)])
async def test_a_refused_connection_says_whether_waiting_helps(
    fake: FakeBroker, code: int, error: type[Exception]
) -> None:
    fake.connect_code = code

    with pytest.raises(error):
        await MqttBroker(fake.url()).__aenter__()


async def test_closing_tells_those_who_wait(fake: FakeBroker) -> None:
    """M26."""
    fake.answer = lambda _: None
    async with MqttBroker(fake.url(publish_timeout=60)) as broker:
        publishing = asyncio.ensure_future(broker.publish(numbered("t", 1)))
        await fake.until(lambda: fake.publishers[0].published)

    with pytest.raises(PublishError):
        await publishing
    with pytest.raises(BrokerError):
        await broker.publish(numbered("t", 1))
