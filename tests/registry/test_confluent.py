"""confluent-kafka's Avro serialiser and deserialiser, and services, read each other."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import pytest
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,  # pyright: ignore[reportUnknownVariableType] -- theirs
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from pydantic import BaseModel, Field, JsonValue

from choreo import Event, Retry, Service
from choreo.codec.schema_folder import SchemaFolder, schema_text
from choreo.contracts.derive import derive
from choreo.registry.local import LocalRegistry
from choreo.testing import Harness
from tests.registry.shop import record

# Type checkers see another signature, for the classes make theirs from an asynchronous twin.
DESERIALISER = cast("Callable[..., Callable[..., Any]]", AvroDeserializer)
SERIALISER = cast("Callable[..., Callable[..., bytes]]", AvroSerializer)


class Colour(Enum):
    RED = "RED"
    BLUE = "BLUE"


class Card(BaseModel):
    kind: Literal["card"] = "card"
    digits: str


class Transfer(BaseModel):
    kind: Literal["transfer"] = "transfer"
    iban: str


class Sold(Event, topic="sales", key="item", name="shop.Sold"):
    """Holds one of everything that a contract can say."""

    item: str
    order: UUID
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)]
    at: datetime
    colour: Colour
    paid: Annotated[Card | Transfer, Field(discriminator="kind")]
    tags: list[str] = Field(default_factory=list)
    notes: dict[str, str] = Field(default_factory=dict)
    remark: str | None = None


SOLD = Sold(
    item="pear",
    order=UUID(int=7),
    price=Decimal("1.50"),
    at=datetime(2026, 1, 31, 12, 30, 0, 250, tzinfo=UTC),
    colour=Colour.BLUE,
    paid=Transfer(iban="AT1"),
    tags=["ripe"],
    notes={"a": "b"},
)
DATUM: dict[str, Any] = {
    "item": "pear",
    "order": UUID(int=7),
    "price": Decimal("1.50"),
    "at": datetime(2026, 1, 31, 12, 30, 0, 250, tzinfo=UTC),
    "colour": "BLUE",
    "paid": {"kind": "transfer", "iban": "AT1"},
    "tags": ["ripe"],
    "notes": {"a": "b"},
    "remark": None,
}


@pytest.fixture(name="theirs")
def _theirs(registry: LocalRegistry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def given(registry: LocalRegistry, folder: Path) -> dict[str, Any]:
    SchemaFolder(folder).export(Sold)
    return {
        "codec": "avro",
        "schemas": folder,
        "registry": registry.url,
        "register_schemas": True,
    }


async def test_their_deserialiser_reads_what_choreo_writes(
    registry: LocalRegistry, theirs: SchemaRegistryClient, tmp_path: Path
) -> None:
    async with Harness(**given(registry, tmp_path)) as world:
        await world.publish(SOLD)
        (sent,) = world.messages

    read = DESERIALISER(theirs)(sent.body, SerializationContext("sales", MessageField.VALUE))

    assert read == DATUM


async def test_their_deserialiser_reads_by_a_schema_of_its_own(
    registry: LocalRegistry, theirs: SchemaRegistryClient, tmp_path: Path
) -> None:
    """What it resolves to is its own: a field dropped, and one put in by its default."""
    schema: JsonValue = {
        "type": "record",
        "name": "Sold",
        "namespace": "shop",
        "fields": [
            {"name": "item", "type": "string"},
            {"name": "weight", "type": "int", "default": 3},
        ],
    }
    async with Harness(**given(registry, tmp_path)) as world:
        await world.publish(SOLD)
        (sent,) = world.messages

    read = DESERIALISER(theirs, schema_text(schema))(
        sent.body, SerializationContext("sales", MessageField.VALUE)
    )

    assert read == {"item": "pear", "weight": 3}


@pytest.mark.parametrize("known", [True, False], ids=["own contract", "only the registry knows"])
@pytest.mark.parametrize("where", ["payload", "header"])
async def test_choreo_reads_what_their_serialiser_writes(
    registry: LocalRegistry,
    theirs: SchemaRegistryClient,
    tmp_path: Path,
    where: str,
    *,
    known: bool,
) -> None:
    options: dict[str, Any] = {"subject.name.strategy": topic_record_subject_name_strategy}
    if where == "header":
        options["schema.id.serializer"] = header_schema_id_serializer
    serialise = SERIALISER(theirs, schema_text(derive(Sold)), conf=options)
    headers: list[tuple[str, str | bytes | None]] = []
    context = SerializationContext("sales", MessageField.VALUE, headers)
    # Which branch of a union is meant has to be said, as fastavro wants it.
    body = serialise({**DATUM, "paid": ("shop.Transfer", DATUM["paid"])}, context)
    service, seen = Service("shop", retry=Retry(attempts=1)), list[Sold]()

    @service.on(Sold)
    async def take(sold: Sold) -> None:
        seen.append(sold)

    if known:
        SchemaFolder(tmp_path).export(Sold)
    async with Harness(service, registry=registry.url, schemas=tmp_path) as world:
        await world.send(record(body or b"", *in_bytes(headers), kind="shop.Sold.v1"))
        await world.settle()

        assert world.dead_letters == []
    assert seen == [SOLD]
    assert registry.shelf.subjects() == ["sales-shop.Sold"]


async def test_both_write_under_one_id(
    registry: LocalRegistry, theirs: SchemaRegistryClient, tmp_path: Path
) -> None:
    """Whoever registers first: the other finds the very schema, and not a second version of it."""
    options: dict[str, Any] = {"subject.name.strategy": topic_record_subject_name_strategy}
    serialise = SERIALISER(theirs, schema_text(derive(Sold)), conf=options)
    body = serialise(
        {**DATUM, "paid": ("shop.Transfer", DATUM["paid"])},
        SerializationContext("sales", MessageField.VALUE),
    )

    async with Harness(**given(registry, tmp_path)) as world:
        await world.publish(SOLD)
        (sent,) = world.messages

    assert registry.shelf.versions("sales-shop.Sold") == [1]
    assert sent.body == body


async def test_their_client_makes_its_calls_of_the_registry_here(
    theirs: SchemaRegistryClient,
) -> None:
    from confluent_kafka.schema_registry import Schema  # noqa: PLC0415 -- beside what uses it

    schema = Schema(schema_text(derive(Sold)), "AVRO")
    identity = theirs.register_schema("sales", schema)

    assert theirs.get_subjects() == ["sales"]
    assert theirs.get_versions("sales") == [1]
    assert theirs.get_latest_version("sales").schema_id == identity
    assert theirs.lookup_schema("sales", schema).version == 1
    assert theirs.test_compatibility("sales", schema)
    theirs.set_compatibility("sales", "FULL")
    assert theirs.get_compatibility("sales") == "FULL"


def in_bytes(headers: list[tuple[str, str | bytes | None]]) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in headers if isinstance(value, bytes)]
