"""What cannot be handled is buried byte for byte, and its neighbours do not notice."""

import asyncio
from collections.abc import Callable

import pytest

from choreo import Event, Message, Retry, Service
from choreo.broker import Broker, TopicFilter, open_broker
from choreo.dead_letter import dead_letter_filter, original, read_dead_letter
from choreo.reason import Reason
from choreo.runner import Running, started
from choreo.testing import Harness
from tests.local import KafkaCluster, KafkaPart, MqttPart
from tests.local.kafka_security import PASSWORD, USER
from tests.patience import patient


class Step(Event, topic="steps", key="track", domain="poison"):
    track: str
    number: int = 0


TYPE = "poison.Step.v1"


def bare(service_type: str, identity: str, *, prefix: str) -> list[tuple[str, bytes | None]]:
    """Give the headers of an event as another program may write them."""
    return [
        (f"{prefix}specversion", b"1.0"),
        (f"{prefix}id", identity.encode()),
        (f"{prefix}source", b"urn:elsewhere"),
        (f"{prefix}type", service_type.encode()),
        ("content-type", b"application/json"),
    ]


def poison(topic: str, prefix: str) -> dict[str, tuple[Message, Reason]]:
    """Make one message of each kind of poison, with the reason it must be given."""
    good = b'{"track": "one", "number": 5}'
    wrong_types = bare(TYPE, "types", prefix=prefix)
    wrong_types[0] = (f"{prefix}specversion", b"1.0")
    wrong_types.append((f"{prefix}time", b"yesterday"))
    twice = [*bare(TYPE, "twice", prefix=prefix), (f"{prefix}id", b"again")]
    old = [(f"{prefix}specversion", b"0.3"), *bare(TYPE, "old", prefix=prefix)[1:]]
    return {
        "undecodable": (
            Message(topic, b"\xff\x00{not json", b"one", bare(TYPE, "bytes", prefix=prefix)),
            Reason.SCHEMA,
        ),
        "missing field": (
            Message(topic, b'{"number": "x"}', b"one", bare(TYPE, "field", prefix=prefix)),
            Reason.SCHEMA,
        ),
        "unknown version": (
            Message(topic, good, b"one", bare("poison.Step.v9", "version", prefix=prefix)),
            Reason.UNKNOWN_VERSION,
        ),
        "wrong header types": (Message(topic, good, b"one", wrong_types), Reason.MALFORMED),
        "repeated header": (Message(topic, good, b"one", twice), Reason.MALFORMED),
        "other specification": (Message(topic, good, b"one", old), Reason.UNSUPPORTED_SPECVERSION),
        "no event at all": (Message(topic, b"hello", b"one"), Reason.FOREIGN),
        "rejected": (
            Message(
                topic, b'{"track":"one","number":13}', b"one", bare(TYPE, "rej", prefix=prefix)
            ),
            Reason.RETRIES_EXHAUSTED,
        ),
    }


def service() -> tuple[Service, list[int]]:
    shop = Service("shop", retry=Retry(attempts=2))
    handled: list[int] = []

    @shop.on(Step)
    async def walk(step: Step) -> None:
        if step.number == 13:
            raise OSError("unlucky")
        handled.append(step.number)

    return shop, handled


async def _each_is_buried_whole(url: str, prefix: str, *, keys: bool) -> None:
    shop, handled = service()
    cases = poison("steps", prefix)
    async with Harness(shop, broker=url) as world:
        await world.publish(Step(track="one", number=1))
        for message, _ in cases.values():
            await world.send(message)
            await world.publish(Step(track="one", number=2))
        await world.settle()
        letters = [(m, read_dead_letter(m)) for m in world.messages]
        buried = {(whole(original(m), keys=keys), told.reason) for m, told in letters if told}

    assert handled == [1] + [2] * len(cases)
    assert buried == {(whole(message, keys=keys), reason) for message, reason in cases.values()}


def whole(message: Message, *, keys: bool) -> tuple[object, ...]:
    """Give all of a message; on MQTT its content type is a property, and has no place in a row."""
    headers = list(message.headers)
    if not keys:
        headers.sort(key=lambda header: header[0] == "content-type")
    return (message.body, message.key if keys else None, *headers)


async def test_each_kind_of_poison_is_buried_whole_in_memory() -> None:
    await _each_is_buried_whole("memory://", "ce_", keys=True)


async def test_each_kind_of_poison_is_buried_whole_on_kafka(real_kafka: KafkaPart) -> None:
    await _each_is_buried_whole(real_kafka.url, "ce_", keys=True)


async def test_each_kind_of_poison_is_buried_whole_on_mqtt(mosquitto: MqttPart) -> None:
    await _each_is_buried_whole(mosquitto.url, "", keys=False)


async def letters_on(broker: Broker, where: TopicFilter) -> list[Message]:
    async with broker.browse(where) as found:
        return [message async for message in found]


async def _held(running: Running, others_done: Callable[[], bool]) -> None:
    """Wait until one event rests with all others done, and see that it is not settled."""
    worker, consumer = running.worker, running.consumer
    assert worker is not None
    assert consumer is not None
    async with asyncio.timeout(patient(20)):
        while not others_done() or worker.waiting.next_due is None:
            await asyncio.sleep(0.05)
    assert worker.held == 1
    await consumer.flush()
    assert sum(p.handed - p.settled for p in consumer.progress()) >= 1


@pytest.mark.timeout(90)
async def test_dead_letters_that_kafka_refuses_are_held_until_it_takes_them_d1(
    secured_kafka: KafkaCluster, fresh_name: Callable[[str], str]
) -> None:
    """F23: the topic's access rules deny us, and allow us again."""
    topic, name = fresh_name("poison"), fresh_name("shop")
    url = (
        f"kafka://{USER}:{PASSWORD}@{secured_kafka.bootstrap_of('SASL_PLAINTEXT')}"
        "?sasl=SCRAM-SHA-256"
    )

    class Here(Event, topic=topic, key="track", domain="poison"):
        track: str

    shop = Service(name, broker=url, retry=Retry(attempts=1), create_topics=True)
    handled: list[str] = []

    @shop.on(Here)
    async def walk(here: Here) -> None:
        if here.track == "bad":
            raise OSError("unlucky")
        handled.append(here.track)

    dead = f"choreo.dlq.{name}"
    async with started(shop) as running:
        secured_kafka.admin.deny_writing(dead)
        try:
            await shop.publish(Here(track="bad"))
            await shop.publish_many([Here(track=f"good-{n}") for n in range(50)])
            await _held(running, lambda: len(handled) == 50)
        finally:
            secured_kafka.admin.allow_writing(dead)
        assert running.worker is not None
        async with asyncio.timeout(patient(30)):
            await running.worker.idle()

    async with open_broker(url) as broker:
        (letter,) = await letters_on(broker, dead_letter_filter(name, broker.capabilities))
    told = read_dead_letter(letter)
    assert told is not None
    assert told.reason is Reason.HANDLER_ERROR
