"""Services with a registry that is not of our making: Apicurio, or whichever was given."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import JsonValue

from choreo import Event, Message, Retry, Service
from choreo.codec.schema_folder import SchemaFolder
from choreo.contracts.derive import derive
from choreo.contracts.mode import Mode
from choreo.errors import ConfigurationError, IncompatibleSchema, NotRegistered, RegistryError
from choreo.event import event_type
from choreo.reason import Reason
from choreo.registry.port import Registry
from choreo.testing import Harness
from choreo_registry import HttpRegistry
from tests.local import Apicurio, RegistryPart
from tests.registry.shop import datum, framed, record, until

NAME = "Sold"


class Sale(Event):
    item: str
    count: int = 1


Sold = type[Sale]


@pytest.fixture(name="sold")
def _sold() -> Sold:
    class Sold(Sale, topic=f"sales-{uuid4().hex}", key="item", name=NAME):
        """Somebody bought something."""

    return Sold


@pytest.fixture(name="client")
async def _client(schema_registry: RegistryPart) -> AsyncIterator[Registry]:
    async with HttpRegistry(schema_registry.url) as client:
        yield client


@pytest.fixture(name="options")
def _options(schema_registry: RegistryPart, tmp_path: Path, sold: Sold) -> dict[str, Any]:
    SchemaFolder(tmp_path).export(sold)
    return {"codec": "avro", "registry": schema_registry.url, "schemas": tmp_path}


def subject(sold: Sold) -> str:
    return f"{event_type(sold).topic.flat}-{NAME}"


def shop(sold: Sold) -> tuple[Service, list[Sale]]:
    """Make a service that takes what is sold, and tells of it again."""
    service, seen = Service("shop", retry=Retry(attempts=1)), list[Sale]()

    @service.on(sold)
    async def take(one: Sale) -> None:
        seen.append(one)

    return service, seen


def teller(sold: Sold) -> Service:
    """Make a service that emits what is sold, and so needs its id."""
    service = Service("teller")

    class Wanted(Event, topic="wanted"):
        item: str

    async def tell(wanted: Wanted) -> Sale:
        return sold(item=wanted.item)

    tell.__annotations__["return"] = sold
    service.on(Wanted)(tell)
    return service


def sent(sold: Sold, body: bytes) -> Message:
    return replace(record(body, kind=f"{NAME}.v1"), topic=event_type(sold).topic.flat)


async def test_what_is_written_bears_the_registrys_id_and_is_read_by_it(
    client: Registry, options: dict[str, Any], sold: Sold
) -> None:
    service, seen = shop(sold)

    async with Harness(service, **options, register_schemas=True) as world:
        await world.publish(sold(item="pear"))
        await world.settle()
        (message,) = world.messages

    kept = await client.by_version(subject(sold))
    assert (message.body or b"")[:5] == framed(kept.id, b"")
    assert kept.schema == derive(sold)
    assert seen == [sold(item="pear")]


async def test_a_contract_that_is_not_registered_stops_the_start(
    options: dict[str, Any], sold: Sold
) -> None:
    with pytest.raises(ConfigurationError, match=f"not registered as {subject(sold)}"):
        async with Harness(teller(sold), **options):
            pass


@pytest.mark.parametrize("register", [False, True])
async def test_a_contract_that_others_spelt_otherwise_is_not_registered_again(
    client: Registry, options: dict[str, Any], sold: Sold, *, register: bool
) -> None:
    """Apicurio takes each text for a version of its own, down to the spaces."""
    assert isinstance(client, HttpRegistry)
    spelt = json.dumps(derive(sold), indent=4, sort_keys=True)
    await client._call("POST", f"/subjects/{subject(sold)}/versions", {"schema": spelt})

    async with Harness(teller(sold), **options, register_schemas=register):
        pass

    assert await client.versions(subject(sold)) == [1]


async def test_words_for_people_that_changed_stop_no_start(
    client: Registry, options: dict[str, Any], sold: Sold
) -> None:
    schema = derive(sold)
    assert isinstance(schema, dict)
    await client.register(subject(sold), {**schema, "doc": "What was said before."})

    async with Harness(teller(sold), **options):
        pass


async def test_what_breaks_with_an_earlier_version_stops_the_start(
    client: Registry, options: dict[str, Any], sold: Sold
) -> None:
    """The registry says 409, and a service that would register tells so."""
    breaking: dict[str, JsonValue] = {
        "type": "record",
        "name": NAME,
        "fields": [{"name": "item", "type": "int"}],
    }
    await client.register(subject(sold), breaking)
    await client.set_mode(Mode.FULL, subject(sold))

    with pytest.raises(IncompatibleSchema, match="409"):
        async with Harness(teller(sold), **options, register_schemas=True):
            pass


async def test_a_writer_that_only_the_registry_knows_is_read_by_id_and_by_fingerprint(
    client: Registry, options: dict[str, Any], sold: Sold, tmp_path: Path
) -> None:
    class More(Sale, topic=event_type(sold).topic.flat, key="item", name=NAME):
        note: str = ""

    SchemaFolder(tmp_path / "elsewhere").export(More)
    identity = await client.register(subject(sold), derive(More))
    body = datum(tmp_path / "elsewhere", More(item="pear", count=3, note="ripe"))
    mark = SchemaFolder(tmp_path / "elsewhere").committed(More).fingerprint
    service, seen = shop(sold)
    alone: dict[str, Any] = {**options, "schemas": tmp_path / "none", "codec": "json"}

    async with Harness(service, **alone) as world:
        await world.send(sent(sold, framed(identity, body)))
        await world.send(sent(sold, b"\xc3\x01" + mark + body))
        await world.settle()

        assert world.dead_letters == []
    assert seen == [sold(item="pear", count=3)] * 2


async def test_an_id_that_the_registry_does_not_know_is_a_dead_letter(
    options: dict[str, Any], sold: Sold
) -> None:
    service, seen = shop(sold)

    async with Harness(service, **options) as world:
        await world.send(sent(sold, framed(2**31 - 1, b"\x08pear\x02")))
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.SCHEMA]
    assert seen == []


async def test_a_recursive_schema_that_the_registry_took_is_a_dead_letter(
    client: Registry, options: dict[str, Any], sold: Sold
) -> None:
    """T5: the schema is judged before a byte is read by it."""
    recursive: dict[str, JsonValue] = {
        "type": "record",
        "name": NAME,
        "fields": [{"name": "item", "type": ["null", NAME], "default": None}],
    }
    identity = await client.register(subject(sold), recursive)
    service, seen = shop(sold)

    async with Harness(service, **options) as world:
        await world.send(sent(sold, framed(identity, b"\x02" * 100 + b"\x00")))
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.SCHEMA]
    assert seen == []


async def test_no_guid_is_a_named_error(client: Registry) -> None:
    """Apicurio has no such call, and answers 404 without a word."""
    with pytest.raises((NotRegistered, RegistryError)):
        await client.by_guid(uuid4())


@pytest.mark.alone
async def test_an_event_waits_for_a_registry_that_hangs(
    own_schema_registry: Apicurio, sold: Sold, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    SchemaFolder(tmp_path).export(sold)
    async with HttpRegistry(own_schema_registry.url) as client:
        identity = await client.register(subject(sold), derive(sold))
    message = sent(sold, framed(identity, datum(tmp_path, sold(item="pear"))))
    service, seen = shop(sold)
    hasty = f"{own_schema_registry.url}?timeout=0.3"
    own_schema_registry.freeze()

    async with Harness(service, registry=hasty, schemas=tmp_path / "none") as world:
        with caplog.at_level("INFO", "choreo_registry"):
            await world.send(message)
            await until(lambda: "registry is asked again" in caplog.messages)
        assert seen == []
        own_schema_registry.thaw()
        await until(lambda: seen == [sold(item="pear")])

        assert world.dead_letters == []
