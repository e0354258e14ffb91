"""What a service is told about its connection: that it is lost, and that it is there again."""

from choreo.delivery.contact import Contact
from choreo_mqtt import MqttBroker
from choreo_mqtt.link import SILENT
from tests.mqtt.fake_broker import FakeBroker
from tests.mqtt.listener import Recorder, receive, subscription


class Told:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def __call__(self, kind: str, text: str, unheard: float = 0.0, /) -> None:
        assert text
        assert unheard >= 0
        self.kinds.append(kind)


def test_contact_that_has_begun_can_be_lost_and_begins_no_second_time() -> None:
    told = Told()
    contact = Contact(told)

    contact.begun()
    contact.lost("gone")
    contact.begun()
    contact.lost("gone")
    contact.found()

    assert told.kinds == ["connection_lost", "reconnected"]


def test_a_loss_and_a_return_are_told_once_each() -> None:
    told = Told()
    contact = Contact(told)

    contact.lost("never there")
    contact.found()
    contact.rested()
    contact.lost("silent")
    contact.lost("closed")
    contact.lost("closed while it was opened")
    contact.found()
    contact.rested()

    assert told.kinds == ["connection_lost", "reconnected"]


def test_a_return_is_told_once_the_past_is_done_with() -> None:
    told = Told()
    contact = Contact(told)
    contact.found()
    contact.lost("closed")

    contact.hold()
    contact.found()
    too_early = list(told.kinds)
    contact.lost("closed again")
    contact.rested()
    meanwhile = list(told.kinds)
    contact.hold()
    contact.found()
    contact.rested()

    assert too_early == meanwhile == ["connection_lost"]
    assert told.kinds == ["connection_lost", "reconnected"]


async def test_a_listener_is_told_of_each_loss_and_of_each_return(
    fake: FakeBroker, listener: Recorder
) -> None:
    fake.session_present = lambda _: len(fake.consumers) > 1
    async with MqttBroker(fake.url()) as broker, broker.subscribe(subscription(), listener):
        for count in (1, 2):
            fake.consumers[-1].cut()
            await listener.heard("reconnected", count)

    told = [kind for kind in listener.kinds if kind != "taken_over"]
    assert told == ["connection_lost", "reconnected"] * 2
    assert {notice.streams for notice in listener.notices} == {("mqtt/choreo-group",)}


async def test_a_return_is_told_when_the_broker_has_our_filters_and_not_before(
    fake: FakeBroker, listener: Recorder
) -> None:
    async with MqttBroker(fake.url()) as broker, broker.subscribe(subscription(), listener):
        fake.answers_subscribe = False
        fake.consumers[0].cut()
        await fake.until(lambda: len(fake.consumers) == 2 and fake.consumers[1].filters)
        unsubscribed = list(listener.kinds)
        fake.answers_subscribe = True
        fake.consumers[1].cut()
        await listener.heard("reconnected")

    assert "reconnected" not in unsubscribed
    assert listener.kinds.count("connection_lost") == 1


async def test_who_leaves_is_not_told_that_the_connection_is_lost(
    fake: FakeBroker, listener: Recorder
) -> None:
    async with (
        MqttBroker(fake.url()) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        fake.consumers[0].deliver(1)
        consumer.settle(await receive(consumer, 1))

    assert listener.kinds == []


async def test_a_line_that_says_nothing_is_a_lost_connection_before_it_is_given_up(
    fake: FakeBroker, listener: Recorder
) -> None:
    """The answer may still come, and then nothing was missed."""
    url = fake.url(keepalive=2, ping_timeout=60)
    async with MqttBroker(url) as broker, broker.subscribe(subscription(), listener):
        fake.answers_pings = False
        await listener.heard("connection_lost")
        fake.answers_pings = True
        await listener.heard("reconnected")

    assert listener.kinds == ["connection_lost", "reconnected"]
    assert listener.notices[0].unheard > SILENT
    assert len(fake.consumers) == 1
