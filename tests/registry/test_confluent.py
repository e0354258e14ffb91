"""confluent-kafka's Avro serialiser and deserialiser, and services, read each other."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from uuid import UUID, uuid4

import pytest
from confluent_kafka.schema_registry import (
    Schema,
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
from choreo.event import event_type
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


class Sale(Event):
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
NAME = "shop.Sold"
Sold = type[Sale]


@pytest.fixture(name="theirs")
def _theirs(url: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": url}) as client:
        yield client


@pytest.fixture(name="topic")
def _topic() -> str:
    """Return a topic that nobody else has, for a registry may be shared."""
    return f"sales-{uuid4().hex}"


@pytest.fixture(name="sold")
def _sold(topic: str) -> Sold:
    class Sold(Sale, topic=topic, key="item", name=NAME):
        """Holds one of everything that a contract can say."""

    return Sold


def given(url: str, folder: Path, sold: Sold) -> dict[str, Any]:
    SchemaFolder(folder).export(sold)
    return {"codec": "avro", "schemas": folder, "registry": url, "register_schemas": True}


async def test_their_deserialiser_reads_what_choreo_writes(
    url: str, theirs: SchemaRegistryClient, tmp_path: Path, topic: str, sold: Sold
) -> None:
    async with Harness(**given(url, tmp_path, sold)) as world:
        await world.publish(sold.model_validate(DATUM))
        (sent,) = world.messages

    read = DESERIALISER(theirs)(sent.body, SerializationContext(topic, MessageField.VALUE))

    assert read == DATUM


async def test_their_deserialiser_reads_by_a_schema_of_its_own(
    url: str, theirs: SchemaRegistryClient, tmp_path: Path, topic: str, sold: Sold
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
    async with Harness(**given(url, tmp_path, sold)) as world:
        await world.publish(sold.model_validate(DATUM))
        (sent,) = world.messages

    read = DESERIALISER(theirs, schema_text(schema))(
        sent.body, SerializationContext(topic, MessageField.VALUE)
    )

    assert read == {"item": "pear", "weight": 3}


@pytest.mark.parametrize("known", [True, False], ids=["own contract", "only the registry knows"])
async def test_choreo_reads_what_their_serialiser_writes(
    url: str, theirs: SchemaRegistryClient, tmp_path: Path, topic: str, sold: Sold, *, known: bool
) -> None:
    body, headers = written(theirs, topic, sold)
    if known:
        SchemaFolder(tmp_path).export(sold)

    assert await taken(url, tmp_path, sold, body, headers) == [sold.model_validate(DATUM)]
    assert theirs.get_versions(f"{topic}-{NAME}") == [1]


@pytest.mark.parametrize("known", [True, False], ids=["own contract", "only the registry knows"])
async def test_choreo_reads_what_their_serialiser_writes_with_a_guid_in_a_header(
    registry: LocalRegistry, tmp_path: Path, topic: str, sold: Sold, *, known: bool
) -> None:
    """Neither Karapace nor Apicurio knows GUIDs."""
    with SchemaRegistryClient({"url": registry.url}) as theirs:
        body, headers = written(theirs, topic, sold, header=True)
    if known:
        SchemaFolder(tmp_path).export(sold)

    found = await taken(registry.url, tmp_path, sold, body, headers)

    assert found == [sold.model_validate(DATUM)]


async def test_both_write_under_one_id(
    url: str, theirs: SchemaRegistryClient, tmp_path: Path, topic: str, sold: Sold
) -> None:
    """Whoever registers first: the other finds the very schema, and not a second version of it."""
    body, _ = written(theirs, topic, sold)

    async with Harness(**given(url, tmp_path, sold)) as world:
        await world.publish(sold.model_validate(DATUM))
        (sent,) = world.messages

    assert theirs.get_versions(f"{topic}-{NAME}") == [1]
    assert sent.body == body


async def test_their_client_makes_its_calls_of_the_registry_here(
    registry: LocalRegistry, sold: Sold
) -> None:
    with SchemaRegistryClient({"url": registry.url}) as theirs:
        schema = Schema(schema_text(derive(sold)), "AVRO")
        identity = theirs.register_schema("sales", schema)

        assert theirs.get_subjects() == ["sales"]
        assert theirs.get_versions("sales") == [1]
        assert theirs.get_latest_version("sales").schema_id == identity
        assert theirs.lookup_schema("sales", schema).version == 1
        assert theirs.test_compatibility("sales", schema)
        theirs.set_compatibility("sales", "FULL")
        assert theirs.get_compatibility("sales") == "FULL"


def written(
    theirs: SchemaRegistryClient, topic: str, sold: Sold, *, header: bool = False
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Write the event as confluent-kafka does, and what it puts into the headers."""
    options: dict[str, Any] = {"subject.name.strategy": topic_record_subject_name_strategy}
    if header:
        options["schema.id.serializer"] = header_schema_id_serializer
    serialise = SERIALISER(theirs, schema_text(derive(sold)), conf=options)
    headers: list[tuple[str, str | bytes | None]] = []
    context = SerializationContext(topic, MessageField.VALUE, headers)
    # Which branch of a union is meant has to be said, as fastavro wants it.
    body = serialise({**DATUM, "paid": ("shop.Transfer", DATUM["paid"])}, context)
    return body, [(name, value) for name, value in headers if isinstance(value, bytes)]


async def taken(
    url: str, folder: Path, sold: Sold, body: bytes, headers: list[tuple[str, bytes]]
) -> list[Sale]:
    """Give a service that payload, and return what its handler got."""
    service, seen = Service("shop", retry=Retry(attempts=1)), list[Sale]()

    @service.on(sold)
    async def take(one: Sale) -> None:
        seen.append(one)

    async with Harness(service, registry=url, schemas=folder) as world:
        message = record(body, *headers, kind=f"{NAME}.v1")
        await world.send(replace(message, topic=event_type(sold).topic.flat))
        await world.settle()

        assert world.dead_letters == []
    return seen
