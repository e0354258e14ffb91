"""Avro on the wire: others can read it, and what cannot be read harms nobody."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import avro.io
import avro.schema
import pytest

from choreo import Event, Message, Retry, Service
from choreo.broker import TopicFilter, open_broker
from choreo.codec.avro import HEADER, MARK, AvroCodec, SchemaFolder
from choreo.codec.schema_folder import contract
from choreo.dead_letter import original, read_dead_letter
from choreo.reason import Reason
from choreo.testing import Harness
from examples.order_fulfilment.events import OrderPlaced
from tests.contracts.samples import SAMPLES
from tests.local import KafkaPart, MqttPart
from tests.promises.test_poison import whole

ROOT = Path(__file__).parents[2]
TYPE = "poison.Walked.v1"
MANY = 50_000_000


class Walked(Event, topic="walks", key="track", domain="poison"):
    track: str
    number: int = 0
    tags: tuple[str, ...] = ()


@pytest.fixture(name="schemas")
def _schemas(tmp_path: Path) -> Path:
    """Return a folder with the contract of Walked, and two that somebody wrote to harm it."""
    folder = SchemaFolder(tmp_path / "schemas")
    folder.export(Walked)
    for name, schema in (("bomb", BOMB), ("deep", DEEP)):
        path = folder.root / "walks" / name / "1.avsc"
        path.parent.mkdir()
        path.write_text(json.dumps(schema))
    return folder.root


BOMB = {
    "type": "record",
    "name": "Walked",
    "namespace": "poison",
    "fields": [
        {"name": "track", "type": "string"},
        {"name": "nothing", "type": {"type": "array", "items": "null"}},
    ],
}
DEEP = {
    "type": "record",
    "name": "Walked",
    "namespace": "poison",
    "fields": [
        {"name": "track", "type": "string"},
        {"name": "next", "type": ["null", "poison.Walked"], "default": None},
    ],
}


def number(value: int) -> bytes:
    """Write an Avro long: zigzag, then seven bits a byte (specification, "Binary Encoding")."""
    rest, parts = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        parts.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*parts, rest))


def poison(schemas: Path) -> dict[str, bytes]:
    """Make one body of each kind of poison."""
    good = AvroCodec(SchemaFolder(schemas)).encoder(Walked)(Walked(track="one", tags=("a",))).data
    bomb, deep = (contract(schema, "test").fingerprint for schema in (BOMB, DEEP))  # type: ignore[arg-type] # a dict is JSON
    return {
        "truncated": good[:-2],
        "only a mark": good[:2],
        "nothing behind the fingerprint": good[:HEADER],
        "trailing bytes": good + b"\x00",
        "unknown fingerprint": MARK + bytes(8) + good[HEADER:],
        "no single-object encoding": good[HEADER:],
        "list of fifty million nothings": MARK + bomb + number(3) + b"one" + number(MANY) + b"\0",
        "list of fifty million strings": good[:HEADER] + number(3) + b"one\0" + number(MANY),
        "string of an exabyte": good[:HEADER] + number(2**60) + b"one",
        "negative count": good[:HEADER] + number(3) + b"one\0" + number(-MANY) + number(1) + b"\0",
        "nested a hundred thousand times": MARK
        + deep
        + (number(3) + b"one" + number(1)) * 100_000
        + b"\0",
        "not Avro at all": b'{"track": "one"}',
    }


def headers(identity: str, prefix: str) -> list[tuple[str, bytes | None]]:
    return [
        (f"{prefix}specversion", b"1.0"),
        (f"{prefix}id", identity.replace(" ", "-").encode()),
        (f"{prefix}source", b"urn:elsewhere"),
        (f"{prefix}type", TYPE.encode()),
        ("content-type", b"application/avro"),
    ]


async def _each_is_buried_whole(url: str, schemas: Path, prefix: str, *, keys: bool) -> None:
    shop = Service("shop", retry=Retry(attempts=2), codec="avro", schemas=schemas)
    handled: list[int] = []

    @shop.on(Walked)
    async def walk(walked: Walked) -> None:
        handled.append(walked.number)

    sent = {
        kind: Message("walks", body, b"one" if keys else None, headers(kind, prefix))
        for kind, body in poison(schemas).items()
    }
    async with Harness(shop, broker=url, codec="avro", schemas=schemas) as world:
        await world.publish(Walked(track="one", number=0))
        for place, message in enumerate(sent.values(), start=1):
            await world.send(message)
            await world.publish(Walked(track="one", number=place))
        await world.settle()
        letters = [(m, read_dead_letter(m)) for m in world.messages]
        buried = [(original(m), told) for m, told in letters if told]

    assert handled == list(range(len(sent) + 1))
    assert {told.reason for _, told in buried} == {Reason.SCHEMA}
    assert {whole(m, keys=keys) for m, _ in buried} == {whole(m, keys=keys) for m in sent.values()}


async def test_each_kind_of_avro_poison_is_buried_whole_in_memory_t5(schemas: Path) -> None:
    await _each_is_buried_whole("memory://", schemas, "ce_", keys=True)


async def test_each_kind_of_avro_poison_is_buried_whole_on_kafka_t5(
    real_kafka: KafkaPart, schemas: Path
) -> None:
    await _each_is_buried_whole(real_kafka.url, schemas, "ce_", keys=True)


async def test_each_kind_of_avro_poison_is_buried_whole_on_mqtt_t5(
    mosquitto: MqttPart, schemas: Path
) -> None:
    await _each_is_buried_whole(mosquitto.url, schemas, "", keys=False)


async def test_apache_avro_reads_from_kafka_what_choreo_wrote(real_kafka: KafkaPart) -> None:
    shop, schemas = Service("shop"), ROOT / "schemas"
    placed = next(event for event in SAMPLES if isinstance(event, OrderPlaced))

    @shop.on(OrderPlaced)
    async def take(order: OrderPlaced) -> None: ...

    async with Harness(shop, broker=real_kafka.url, codec="avro", schemas=schemas) as world:
        await world.publish(placed)
        topic = f"{world._launch.namespace}.orders"
        async with open_broker(real_kafka.url) as broker, broker.browse(TopicFilter(topic)) as read:
            (body,) = [delivery.body async for delivery in read]
    assert body is not None

    schema = avro.schema.parse((schemas / "orders/OrderPlaced/1.avsc").read_text())
    stream = BytesIO(body[HEADER:])
    datum = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(stream))

    fields = cast("dict[str, Any]", datum)
    assert body[:2] == b"\xc3\x01"
    assert stream.tell() == len(body) - HEADER
    assert (str(fields["order_id"]), fields["total"]) == (str(placed.order_id), placed.total)
    assert [item["price"] for item in fields["items"]] == [item.price for item in placed.items]
