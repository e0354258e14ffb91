"""Services while their registry is away: what is known goes on, what is not waits."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from choreo import Event, Service
from choreo.codec.schema_folder import SchemaFolder
from choreo.contracts.derive import derive
from choreo.errors import ConfigurationError, RegistryUnavailable
from choreo.registry.kept import keep_ids
from choreo.registry.local import LocalRegistry
from choreo.runner import started
from choreo.testing import Harness
from tests.registry.shop import (
    Counted,
    Sold,
    SoldMore,
    away,
    datum,
    framed,
    options,
    record,
    registered,
    shop,
    until,
)


async def test_a_service_starts_without_the_registry_where_the_ids_are_kept(
    schemas: Path,
) -> None:
    url = away()
    folder = SchemaFolder(schemas)
    keep_ids(schemas, url, {folder.committed(e).digest: i for i, e in ((4, Sold), (5, Counted))})
    service, seen = shop()

    async with Harness(service, codec="avro", registry=url, schemas=schemas) as world:
        await world.publish(Sold(item="pear"))
        await world.settle()
        heads = [(message.body or b"")[:5] for message in world.messages]

    assert seen == [Sold(item="pear")]
    assert heads == [framed(4, b""), framed(5, b"")]


async def test_a_service_starts_without_the_registry_where_it_needs_no_ids(schemas: Path) -> None:
    service, seen = shop()

    async with Harness(
        service, codec="avro", registry=away(), framing="single_object", schemas=schemas
    ) as world:
        await world.publish(Sold(item="pear"))
        await world.settle()

    assert seen == [Sold(item="pear")]


async def test_a_service_that_needs_ids_waits_for_the_registry_and_then_gives_up(
    schemas: Path,
) -> None:
    service, _ = shop()

    with pytest.raises(RegistryUnavailable, match=r"does not answer|not asked again"):
        async with Harness(
            service,
            codec="avro",
            registry=away(),
            schemas=schemas,
            start_timeout=timedelta(seconds=0.5),
        ):
            pass


async def test_what_needs_the_registry_waits_for_it_with_its_key_and_in_order(
    schemas: Path, tmp_path: Path
) -> None:
    """No attempt is counted, nothing is dead-lettered, and other keys go on."""
    database, elsewhere = tmp_path / "registry.db", tmp_path / "elsewhere"
    SchemaFolder(elsewhere).export(SoldMore)
    body = datum(elsewhere, SoldMore(item="pear"))
    with LocalRegistry(database=database) as registry:
        identity = registered(registry, derive(SoldMore))
        url = registry.url
    service, seen = shop()
    settings = service.settings(broker=f"memory://{uuid4()}", registry=url, schemas=schemas)
    async with started(service, settings=settings) as running:
        await running.send([record(framed(identity, body))])
        await running.publish([Sold(item="pear", count=2)])
        await running.publish([Sold(item="fig")])
        await until(lambda: seen == [Sold(item="fig")])

        with LocalRegistry(database=database, port=int(url.rpartition(":")[2])):
            await until(lambda: len(seen) == 3)

    assert seen == [Sold(item="fig"), Sold(item="pear"), Sold(item="pear", count=2)]


async def test_ids_of_another_registry_are_told_and_not_used(
    registry: LocalRegistry, schemas: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = SchemaFolder(schemas)
    keep_ids(schemas, registry.url, {folder.committed(Counted).digest: 77})
    service, _ = shop()

    async with Harness(service, **options(registry, schemas, register_schemas=True)) as world:
        await world.publish(Sold(item="pear"))
        await world.settle()
        heads = [(message.body or b"")[:5] for message in world.messages]

    identity = registry.shelf.by_version("counted-Counted", None).id
    assert heads[-1] == framed(identity, b"") != framed(77, b"")
    assert "the kept ids are of another registry" in caplog.text


def test_kept_ids_that_are_none_are_refused(schemas: Path) -> None:
    (schemas / "registry.json").write_text('{"http://a": {"b": "c"}}')

    with pytest.raises(ConfigurationError, match=r"registry\.json cannot be read.*register"):
        keep_ids(schemas, "http://a", {})


class Measured(Event, topic="measured", key="sensor", sequence="number"):
    sensor: str
    number: int
    celsius: float = 0.0


async def test_a_number_within_a_payload_is_waited_for_and_not_passed_over(tmp_path: Path) -> None:
    """Without its schema nobody knows the place of an event: it must not be handled out of turn."""
    database, elsewhere = tmp_path / "registry.db", tmp_path / "elsewhere"
    SchemaFolder(elsewhere).export(Measured)
    bodies = [datum(elsewhere, Measured(sensor="a", number=number)) for number in (2, 1)]
    with LocalRegistry(database=database) as registry:
        identity = registered(registry, derive(Measured))
        url = registry.url
    service, seen = Service("weather"), list[int]()

    @service.on(Measured)
    async def note(measured: Measured) -> None:
        seen.append(measured.number)

    settings = service.settings(
        broker=f"memory://{uuid4()}", registry=url, schemas=tmp_path / "none"
    )
    async with started(service, settings=settings) as running:
        for body in bodies:
            message = record(framed(identity, body), kind="Measured.v1")
            message.topic, message.key = "measured", b"a"
            await running.send([message])

        with LocalRegistry(database=database, port=int(url.rpartition(":")[2])):
            await until(lambda: len(seen) == 2)

    assert seen == [1, 2]
