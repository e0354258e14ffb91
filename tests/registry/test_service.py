"""Services with a registry: what they write and read, and what they bury."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest
from pydantic import Field, JsonValue

from choreo import Event, Retry, Service
from choreo.codec.avro import AvroCodec
from choreo.codec.schema_folder import SchemaFolder, schema_text
from choreo.contracts.derive import derive
from choreo.contracts.mode import Mode
from choreo.errors import ConfigurationError
from choreo.reason import Reason
from choreo.registry.local import LocalRegistry
from choreo.registry.local.shelf import Draft
from choreo.testing import Harness
from tests.registry.shop import (
    ITEM,
    Sold,
    SoldMore,
    datum,
    framed,
    options,
    record,
    registered,
    shop,
)


async def test_what_is_written_bears_the_ids_of_the_registry_and_is_read_by_them(
    registry: LocalRegistry, schemas: Path
) -> None:
    service, seen = shop()
    given = options(registry, schemas, register_schemas=True)

    async with Harness(service, **given) as world:
        await world.publish(Sold(item="pear"))
        await world.settle()

        bodies = [message.body or b"" for message in world.messages]
    assert seen == [Sold(item="pear")]
    assert registry.shelf.subjects() == ["counted-Counted", ITEM]
    assert [body[:5] for body in bodies] == [
        framed(registry.shelf.by_version(subject, None).id, b"")
        for subject in (ITEM, "counted-Counted")
    ]


@pytest.mark.parametrize(
    ("strategy", "subject"),
    [("topic", "counted-value"), ("record", "Counted"), ("topic_record", "counted-Counted")],
)
async def test_subjects_are_named_as_the_settings_say(
    registry: LocalRegistry, schemas: Path, strategy: str, subject: str
) -> None:
    service, _ = shop()

    async with Harness(
        service, **options(registry, schemas, register_schemas=True, subjects=strategy)
    ):
        pass

    assert registry.shelf.subjects() == [subject]


async def test_a_contract_that_is_not_registered_stops_the_start_and_names_the_command(
    registry: LocalRegistry, schemas: Path
) -> None:
    service, _ = shop()

    command = r"choreo registry register tests\.registry\.shop:Counted"
    with pytest.raises(ConfigurationError, match=command):
        async with Harness(service, **options(registry, schemas)):
            pass


async def test_a_writer_that_only_the_registry_knows_is_read(
    registry: LocalRegistry, schemas: Path, tmp_path: Path
) -> None:
    """By its id, by its GUID in a header, and by its fingerprint."""
    elsewhere = tmp_path / "elsewhere"
    SchemaFolder(elsewhere).export(SoldMore)
    body = datum(elsewhere, SoldMore(item="pear", count=3, note="ripe"))
    entry = registry.shelf.register(ITEM, Draft(schema_text(derive(SoldMore))))
    whole = AvroCodec(SchemaFolder(elsewhere)).encoder(SoldMore)(SoldMore(item="pear", count=3))
    guid = b"\x01" + UUID(entry.guid).bytes
    service, seen = shop()

    async with Harness(service, **options(registry, schemas, codec="json")) as world:
        await world.send(record(framed(entry.id, body)))
        await world.send(record(body, ("__value_schema_id", guid)))
        await world.send(record(whole.data))
        await world.send(record(framed(entry.id, body), kind="Sold.v2"))
        await world.settle()

        assert world.dead_letters == []
    assert seen == [Sold(item="pear", count=3)] * 4


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        (framed(999, b"\x08pear\x02"), (), "Schema not found"),
        (b"\xc3\x01" + b"12345678", (), "no version of|not found"),
        (b"\x08pear\x02", (("__value_schema_id", b"\x01" + bytes(16)),), "Schema not found"),
        (b"\x08pear\x02", (("__value_schema_id", b"\x01short"),), "names no schema"),
        (b"\x00\x00\x01", (), "no Avro in single-object encoding or in a registry's frame"),
        (b"", (), "no Avro in single-object"),
    ],
    ids=["id", "fingerprint", "guid", "header", "short", "empty"],
)
async def test_a_schema_that_nobody_knows_is_a_dead_letter(
    registry: LocalRegistry,
    schemas: Path,
    body: bytes,
    headers: tuple[tuple[str, bytes], ...],
    says: str,
) -> None:
    service, seen = shop()

    async with Harness(service, **options(registry, schemas, codec="json")) as world:
        await world.send(record(body, *headers))
        await world.settle()
        (letter,) = world.dead_letters

    assert seen == []
    assert letter.reason is Reason.SCHEMA
    assert any(text in (letter.error or "") for text in says.split("|")), letter.error


class Priced(Event, topic="prices", key="item"):
    item: str
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)]


class Noted(Event, topic="prices", key="item", name="Priced"):
    item: str
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)]
    note: str = ""


async def test_a_fingerprint_of_two_scales_is_found_by_what_its_data_mean(
    registry: LocalRegistry, tmp_path: Path
) -> None:
    theirs = SchemaFolder(tmp_path / "theirs")
    theirs.export(Priced)
    payload = AvroCodec(theirs).encoder(Priced)(Priced(item="pear", price=Decimal("1.50")))
    registry.shelf.set_level("prices-Priced", Mode.NONE)
    for places in (2, 3):
        schema = schema_text(derive(Priced)).replace('"scale": 2', f'"scale": {places}')
        registry.shelf.register("prices-Priced", Draft(schema))
    service, seen = Service("tills", retry=Retry(attempts=1)), list[Noted]()

    @service.on(Noted)
    async def take(priced: Noted) -> None:
        seen.append(priced)

    async with Harness(service, registry=registry.url, schemas=tmp_path / "none") as world:
        told = ("ce_dataschema", str(payload.dataschema).encode())
        message = record(payload.data, told, kind="Priced.v1")
        await world.send(replace(message, topic="prices"))
        await world.settle()

        assert world.dead_letters == []
    assert seen == [Noted(item="pear", price=Decimal("1.50"))]


BOMBS: dict[str, JsonValue] = {
    "recursive": {
        "type": "record",
        "name": "Sold",
        "fields": [{"name": "item", "type": ["null", "Sold"]}],
    },
    "list of nothing": {
        "type": "record",
        "name": "Sold",
        "fields": [{"name": "item", "type": {"type": "array", "items": "null"}}],
    },
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_that_the_registry_holds_is_not_lit(
    registry: LocalRegistry, schemas: Path, name: str
) -> None:
    """T5: the schema is judged before a byte is read by it."""
    identity = registered(registry, BOMBS[name])
    service, seen = shop()

    async with Harness(service, **options(registry, schemas, codec="json")) as world:
        await world.send(record(framed(identity, b"\x80\x80\x80\x80\x80\x80\x01")))
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.SCHEMA]
    assert seen == []


@pytest.mark.parametrize("cut", [0, 3])
async def test_a_datum_cut_short_or_with_more_behind_it_is_a_dead_letter(
    registry: LocalRegistry, schemas: Path, cut: int
) -> None:
    identity = registered(registry, derive(Sold))
    body = datum(schemas, Sold(item="pear"))
    body = body[:cut] if cut else body + b"\x00"
    service, seen = shop()

    async with Harness(service, **options(registry, schemas, codec="json")) as world:
        await world.send(record(framed(identity, body)))
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.SCHEMA]
    assert seen == []


async def test_without_a_registry_its_frame_is_a_dead_letter_that_says_what_to_set(
    registry: LocalRegistry, schemas: Path
) -> None:
    service, _ = shop()

    async with Harness(service, schemas=schemas) as world:
        await world.send(record(framed(1, b"")))
        await world.settle()

        (letter,) = world.dead_letters
    assert "set registry=http" in (letter.error or "")
