"""A broker that refuses a dead letter for what is in it gets it in another form."""

from collections.abc import Callable, Sequence

from choreo import Message, PublishError, Reject, Service
from choreo.broker import Broker, TopicFilter
from choreo.dead_letter import original, read_dead_letter
from choreo.environment import Environment
from choreo.packing import BODY, HEADERS
from choreo.runner import Running, started
from choreo.testing import ManualClock
from choreo_memory import MemoryBroker
from tests.failures.events import Placed

DEAD = "choreo.dlq.shop"
LAX = ("device", b"line\x01 \xff")
"""A header as a lax broker lets it through."""


class Customs:
    """What is let into the dead letters, and everything that was shown."""

    def __init__(self, lets_in: Callable[[Message], bool], *, unknown: bool = False) -> None:
        self.lets_in = lets_in
        self.unknown = unknown
        self.shown: list[Message] = []


class Strict(MemoryBroker):
    """A memory broker that looks into every dead letter."""

    def __init__(self, url: str, customs: Customs) -> None:
        super().__init__(url)
        self._customs = customs

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Refuse, or leave in doubt, the letters that are not let in; take the rest."""
        customs = self._customs
        letters = [message for message in messages if message.topic == DEAD]
        customs.shown.extend(letters)
        shut = {
            place: "not like this"
            for place, message in enumerate(messages)
            if message in letters and not customs.lets_in(message)
        }
        await super().publish([m for place, m in enumerate(messages) if place not in shut])
        if shut:
            kind = {"unknown": shut} if customs.unknown else {"refused": shut}
            raise PublishError("a letter was stopped", **kind)


def behind(customs: Customs) -> Callable[[str], Broker]:
    return lambda url: Strict(url, customs)


def legible(message: Message) -> bool:
    """Tell whether all headers are text without control characters, as MQTT wants it."""
    values = [(value or b"").decode("utf-8", "replace") for _, value in message.headers]
    return all(value.isprintable() and "\ufffd" not in value for value in values)


def small(message: Message) -> bool:
    return len(message.body or b"") + sum(len(n) + len(v or b"") for n, v in message.headers) < 2500


def everything(_: Message) -> bool:
    return True


def nothing(_: Message) -> bool:
    return False


def service(url: str) -> Service:
    shop = Service("shop", broker=url)

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        raise Reject("poison")

    return shop


def placed(*more: tuple[str, bytes], body: bytes = b'{"order": "bad"}') -> Message:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"urn:elsewhere"),
        ("ce_type", b"Placed.v1"),
        ("content-type", b"application/json"),
        *more,
    ]
    return Message("orders", body, b"bad", headers)


async def letters(url: str) -> list[Message]:
    async with MemoryBroker(url) as broker, broker.browse(TopicFilter(DEAD)) as found:
        return [message async for message in found]


async def until_held(running: Running, clock: ManualClock, customs: Customs, tries: int) -> None:
    while len(customs.shown) < tries:
        await clock.advance(60)
    assert running.worker is not None
    assert running.worker.held == 1


async def given_up(url: str, customs: Customs, message: Message) -> Message:
    keep, clock = MemoryBroker(url), ManualClock()
    environment = Environment(clock=clock)
    async with started(service(url), environment=environment, connect=behind(customs)) as running:
        assert running.worker is not None
        async with MemoryBroker(url) as other:
            await other.publish([message])
        while not (found := await letters(url)):
            await clock.advance(60)
        await running.worker.idle()
    del keep
    (letter,) = found
    return letter


def same(one: Message, other: Message) -> bool:
    return (one.body, one.key, list(one.headers)) == (other.body, other.key, list(other.headers))


async def test_headers_that_the_broker_refuses_are_packed_and_come_back() -> None:
    customs, message = Customs(legible), placed(LAX)

    letter = await given_up("memory://lax-headers", customs, message)

    assert HEADERS in dict(letter.headers)
    assert letter.body == message.body
    assert same(original(letter), message)


async def test_a_letter_that_is_refused_once_is_not_packed() -> None:
    customs, message = Customs(lambda letter: letter is not customs.shown[0]), placed(LAX)

    letter = await given_up("memory://refused-once", customs, message)

    assert len(customs.shown) == 2
    assert LAX in letter.headers


async def test_a_letter_that_is_too_large_is_deflated_and_comes_back() -> None:
    customs, message = Customs(small), placed(body=b'{"order": "%s"}' % (b"bad" * 800))

    letter = await given_up("memory://large-letter", customs, message)

    assert dict(letter.headers)[BODY] == b"deflate"
    assert same(original(letter), message)


async def test_a_letter_that_is_taken_as_it_is_is_never_packed() -> None:
    customs, message = Customs(everything), placed(LAX)

    letter = await given_up("memory://taken-letter", customs, message)

    assert len(customs.shown) == 1
    assert HEADERS not in dict(letter.headers)
    assert LAX in letter.headers


async def test_a_letter_of_unknown_fate_is_not_packed_but_sent_again() -> None:
    url, clock, customs = "memory://doubtful", ManualClock(), Customs(nothing, unknown=True)
    keep, environment = MemoryBroker(url), Environment(clock=clock)

    async with started(service(url), environment=environment, connect=behind(customs)) as running:
        async with MemoryBroker(url) as other:
            await other.publish([placed(LAX)])
        await until_held(running, clock, customs, 3)

    assert all(HEADERS not in dict(letter.headers) for letter in customs.shown)
    del keep


async def test_a_letter_refused_in_every_form_is_held_and_then_taken_as_it_is_d1() -> None:
    """As when the topic itself is refused: whoever opens it again finds the plain form."""
    url, clock, customs = "memory://shut-topic", ManualClock(), Customs(nothing)
    keep, environment = MemoryBroker(url), Environment(clock=clock)

    async with started(service(url), environment=environment, connect=behind(customs)) as running:
        assert running.worker is not None
        async with MemoryBroker(url) as other:
            await other.publish([placed(LAX)])
        await until_held(running, clock, customs, 6)
        assert await letters(url) == []
        customs.lets_in = everything
        await clock.advance(60)
        await running.worker.idle()

    (letter,) = await letters(url)
    assert read_dead_letter(letter) is not None
    assert HEADERS not in dict(letter.headers)
    assert LAX in letter.headers
    del keep
