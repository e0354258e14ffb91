"""On real Kafka: what the registry does to the payloads of a topic harms nobody."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import JsonValue

from choreo import Event, Message, Retry, Service
from choreo.codec.avro import AvroCodec
from choreo.codec.schema_folder import SchemaFolder, schema_text
from choreo.contracts.derive import derive
from choreo.reason import Reason
from choreo.registry.local import LocalRegistry
from choreo.registry.local.shelf import Draft
from choreo.runner import started
from choreo.testing import Harness
from tests.local import KafkaPart
from tests.patience import patient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


class Weighed(Event, topic="weighed", key="item"):
    item: str
    grams: int = 0


class WeighedFinely(Event, topic="weighed", key="item", name="Weighed", version=2):
    """Known to the registry alone."""

    item: str
    grams: int = 0
    milligrams: int = 0


RECURSIVE: JsonValue = {
    "type": "record",
    "name": "Weighed",
    "fields": [{"name": "item", "type": ["null", "Weighed"]}],
}
NOTHINGS: JsonValue = {
    "type": "record",
    "name": "Weighed",
    "fields": [{"name": "item", "type": {"type": "array", "items": "null"}}],
}


def weighing() -> tuple[Service, list[Weighed]]:
    service, seen = Service(f"scales-{uuid4()}", retry=Retry(attempts=1)), list[Weighed]()

    @service.on(Weighed)
    async def weigh(weighed: Weighed) -> None:
        seen.append(weighed)

    return service, seen


def record(body: bytes, *headers: tuple[str, bytes], key: bytes, kind: str = "v1") -> Message:
    attributes = [
        ("ce_specversion", b"1.0"),
        ("ce_id", uuid4().hex.encode()),
        ("ce_source", b"urn:elsewhere"),
        ("ce_type", f"Weighed.{kind}".encode()),
        ("content-type", b"application/avro"),
    ]
    return Message("weighed", body, key, [*attributes, *headers])


def framed(registry: LocalRegistry, schema: JsonValue, body: bytes) -> bytes:
    entry = registry.shelf.register(str(uuid4()), Draft(schema_text(schema)))
    return b"\x00" + entry.id.to_bytes(4, "big") + body


def datum(folder: Path, event: Event) -> bytes:
    SchemaFolder(folder).export(type(event))
    return AvroCodec(SchemaFolder(folder)).encoder(type(event))(event).data[10:]


def poison(registry: LocalRegistry, folder: Path) -> Sequence[Message]:
    """Make one record of each kind of poison that names a schema of the registry."""
    good = datum(folder, Weighed(item="a", grams=1))
    many = b"\x80\x80\x80\x80\x80\x80\x01"
    bodies = [
        framed(registry, derive(Weighed), good[:-1]),
        framed(registry, derive(Weighed), good + b"\x00"),
        framed(registry, derive(Weighed), bytes(5 * 1024 * 1024)[: 900 * 1024]),
        framed(registry, RECURSIVE, b"\x02" * 50_000),
        framed(registry, NOTHINGS, many),
        b"\x00" + (2**31 - 1).to_bytes(4, "big") + good,
        b"\x00\xff\xff\xff\xff" + good,
        b"\xc3\x01" + bytes(8) + good,
        good,
        b"\x00",
        b"",
    ]
    return [
        *(record(body, key=b"%d" % number) for number, body in enumerate(bodies)),
        record(good, ("__value_schema_id", b"\x01" + bytes(16)), key=b"guid"),
        record(good, ("__value_schema_id", b"\xff"), key=b"odd"),
    ]


async def test_no_payload_of_a_registry_harms_its_neighbours(
    real_kafka: KafkaPart, tmp_path: Path
) -> None:
    """Truncated, with more behind, oversized, bombs, ids and GUIDs of nothing: each a letter."""
    service, seen = weighing()
    with LocalRegistry() as registry:
        harmful = poison(registry, tmp_path / "theirs")
        body = framed(registry, derive(Weighed), datum(tmp_path / "ours", Weighed(item="z")))
        good = record(body, key=b"z")

        async with Harness(
            service, broker=real_kafka.url, registry=registry.url, schemas=tmp_path
        ) as world:
            for bad in harmful:
                await world.send(bad, good)
                good = record(body, key=b"z")
            await world.settle(timedelta(seconds=60))
            letters = world.dead_letters

    assert seen == [Weighed(item="z")] * len(harmful)
    assert [letter.reason for letter in letters] == [Reason.SCHEMA] * len(harmful)


async def test_a_registry_that_is_down_holds_what_needs_it_and_nothing_else(
    real_kafka: KafkaPart, tmp_path: Path
) -> None:
    """Over a restart of the service, too: nothing is settled, and nothing is a dead letter."""
    database = tmp_path / "registry.db"
    with LocalRegistry(database=database) as registry:
        held = framed(
            registry,
            derive(WeighedFinely),
            datum(tmp_path / "theirs", WeighedFinely(item="a", grams=7)),
        )
        url = registry.url
    SchemaFolder(tmp_path / "ours").export(Weighed)
    topic = f"weighed-{uuid4()}"
    own = type("Own", (Weighed,), {"__module__": __name__}, topic=topic, key="item", name="Weighed")
    service, seen = Service(f"scales-{uuid4()}"), list[Weighed]()

    @service.on(own)
    async def weigh(weighed: Weighed) -> None:
        seen.append(weighed)

    given = {"broker": real_kafka.url, "registry": url, "schemas": tmp_path / "ours"}
    settings = service.settings(**given, create_topics=True, partitions=1)
    first = record(held, key=b"a", kind="v2")
    first.topic = topic
    async with started(service, settings=settings) as running:
        await running.send([first])
        await running.publish([own(item="a", grams=8), own(item="b", grams=9)])
        await until(seen, 1)
    assert [one.item for one in seen] == ["b"]

    with LocalRegistry(database=database, port=int(url.rpartition(":")[2])):
        async with started(service, settings=settings):
            await until(seen, 3)

    assert [one.grams for one in seen if one.item == "a"] == [7, 8]


async def until(seen: Sequence[object], count: int) -> None:
    async with asyncio.timeout(patient(60)):
        while len(seen) < count:
            await asyncio.sleep(0.05)
