"""The client and a registry understand each other: the nine calls, and what each says no with."""

from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from pydantic import JsonValue

from choreo.contracts.mode import Mode
from choreo.errors import IncompatibleSchema, NotRegistered, RegistryError
from choreo.registry.local import LocalRegistry
from choreo.registry.local.shelf import Draft
from choreo_registry import HttpRegistry

FIRST: dict[str, JsonValue] = {
    "type": "record",
    "name": "Sold",
    "namespace": "shop",
    "fields": [{"name": "item", "type": "string"}],
}
SECOND: dict[str, JsonValue] = {
    **FIRST,
    "fields": [{"name": "item", "type": "string"}, {"name": "count", "type": "int", "default": 1}],
}
BROKEN: dict[str, JsonValue] = {**FIRST, "fields": [{"name": "item", "type": "int"}]}


@pytest.fixture(name="subject")
def _subject() -> str:
    return f"sales-{uuid4()}/é %"


async def test_a_schema_is_registered_once_and_found_by_all_its_names(
    client: HttpRegistry, subject: str
) -> None:
    identity = await client.register(subject, FIRST)

    assert await client.register(subject, FIRST) == identity
    assert await client.by_id(identity) == FIRST
    found = await client.find(subject, FIRST)
    assert (found.id, found.version) == (identity, 1)
    assert (await client.by_version(subject)).schema == FIRST
    assert (await client.by_version(subject, 1)).id == identity
    assert await client.versions(subject) == [1]
    assert subject in await client.subjects()


async def test_a_later_version_is_told_from_the_earlier(client: HttpRegistry, subject: str) -> None:
    first = await client.register(subject, FIRST)
    second = await client.register(subject, SECOND)

    assert first != second
    assert await client.versions(subject) == [1, 2]
    assert (await client.by_version(subject)).id == second
    assert (await client.by_version(subject, 1)).id == first


async def test_what_breaks_with_the_earlier_is_refused_and_told_why(
    client: HttpRegistry, subject: str
) -> None:
    await client.register(subject, FIRST)
    await client.set_mode(Mode.BACKWARD, subject)

    with pytest.raises(IncompatibleSchema, match="409"):
        await client.register(subject, BROKEN)
    assert await client.incompatibilities(subject, BROKEN)
    assert await client.incompatibilities(subject, SECOND) is None
    assert await client.incompatibilities(subject, BROKEN, 1)


async def test_a_mode_is_set_for_one_subject(client: HttpRegistry, subject: str) -> None:
    await client.register(subject, FIRST)
    await client.set_mode(Mode.NONE, subject)

    assert await client.mode(subject) is Mode.NONE
    assert await client.register(subject, BROKEN)
    assert isinstance(await client.mode(), Mode)


async def test_what_is_not_there_is_not_registered(client: HttpRegistry, subject: str) -> None:
    with pytest.raises(NotRegistered):
        await client.by_id(2**31 - 1)
    with pytest.raises(NotRegistered):
        await client.versions(subject)
    with pytest.raises(NotRegistered):
        await client.by_version(subject)
    with pytest.raises(NotRegistered):
        await client.find(subject, FIRST)
    await client.register(subject, FIRST)
    with pytest.raises(NotRegistered):
        await client.find(subject, SECOND)
    with pytest.raises(NotRegistered):
        await client.by_version(subject, 7)
    with pytest.raises(NotRegistered):
        await client.by_guid(UUID(int=7))


async def test_what_is_no_schema_is_refused(client: HttpRegistry, subject: str) -> None:
    with pytest.raises(RegistryError, match="422"):
        await client.register(subject, {"type": "record", "name": "Sold"})


async def test_what_a_schema_refers_to_is_put_into_it(client: HttpRegistry, subject: str) -> None:
    item: dict[str, JsonValue] = {
        "type": "record",
        "name": "Item",
        "namespace": "shop",
        "fields": [{"name": "name", "type": "string"}],
    }
    text = (
        '{"type":"record","name":"Sold","namespace":"shop","fields":['
        '{"name":"item","type":"Item"},{"name":"more","type":{"type":"array","items":"shop.Item"}}]}'
    )
    reference: dict[str, JsonValue] = {
        "name": "shop.Item",
        "subject": f"item-{subject}",
        "version": 1,
    }
    await client.register(f"item-{subject}", item)
    path, body = f"/subjects/{quote(subject, safe='')}/versions", {"schema": text}
    answer = await client._call("POST", path, {**body, "references": [reference]})
    assert isinstance(answer, dict)

    found = await client.by_id(int(str(answer["id"])))

    assert found == {
        "type": "record",
        "name": "Sold",
        "namespace": "shop",
        "fields": [
            {"name": "item", "type": {**item, "name": "Item", "namespace": "shop"}},
            {"name": "more", "type": {"type": "array", "items": "shop.Item"}},
        ],
    }


async def test_a_guid_leads_to_its_schema(local: LocalRegistry) -> None:
    """Neither Karapace nor Apicurio has this call."""
    entry = local.shelf.register("sales", Draft('{"type": "string"}'))

    async with HttpRegistry(local.url) as client:
        assert await client.by_guid(UUID(entry.guid)) == {"type": "string"}


async def test_a_version_is_asked_for_once(local: LocalRegistry) -> None:
    async with HttpRegistry(local.url) as client:
        await client.register("sales", FIRST)
        found = await client.by_version("sales", 1)
        local.shelf.close()

        assert await client.by_version("sales", 1) == found


async def test_an_id_is_asked_for_once(local: LocalRegistry) -> None:
    async with HttpRegistry(local.url) as client:
        identity = await client.register("sales", FIRST)
        await client.by_id(identity)
        local.shelf.close()

        assert await client.by_id(identity) == FIRST
