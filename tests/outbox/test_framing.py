"""What an application adds to the outbox bears the registry's ids, as what its service writes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from choreo import Event, Service
from choreo.codec.schema_folder import SchemaFolder
from choreo.errors import ConfigurationError, RegistryUnavailable
from choreo.outbox import Outbox
from choreo.registry.kept import keep_ids
from choreo.registry.local import LocalRegistry
from choreo.registry.local.shelf import Draft
from choreo_sql import SqlStore
from tests.outbox.emitting import Place
from tests.registry.scripted import said, scripted
from tests.registry.shop import away

SUBJECT = "orders-OrderPlaced"


class OrderPlaced(Event, topic="orders", key="order"):
    order: str


@pytest.fixture(name="registry")
def _registry() -> Iterator[LocalRegistry]:
    with LocalRegistry() as registry:
        registry.shelf.register("another", Draft('"string"'))  # so that ids begin elsewhere
        yield registry


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture(name="engine")
async def _engine(database: Path) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
    yield engine
    await engine.dispose()


@pytest.fixture(name="place")
async def _place(database: Path) -> AsyncGenerator[Place]:
    async with SqlStore(f"sqlite:///{database}") as store:
        yield Place(await store.ledger("shop", []))


def shop(registry: LocalRegistry | str, database: Path, **options: object) -> Service:
    """Make a service that writes by ids of the registry, and its contract."""
    schemas = database.parent / "schemas"
    SchemaFolder(schemas).export(OrderPlaced)
    url = registry if isinstance(registry, str) else registry.url
    given: dict[str, Any] = {"codec": "avro", "registry": url, "schemas": schemas, **options}
    return Service("shop", store=f"sqlite:///{database}", **given)


async def heads(place: Place) -> list[bytes]:
    return [(row.message.body or b"")[:5] for row in await place.read()]


def frame(identity: int) -> bytes:
    return b"\x00" + identity.to_bytes(4, "big")


async def add(outbox: Outbox, engine: AsyncEngine, *orders: str) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await outbox.add(session, *(OrderPlaced(order=order) for order in orders))


async def test_what_is_added_bears_the_registrys_id(
    registry: LocalRegistry, database: Path, engine: AsyncEngine, place: Place
) -> None:
    outbox = Outbox(shop(registry, database, register_schemas=True))

    await add(outbox, engine, "o1")

    identity = registry.shelf.by_version(SUBJECT, None).id
    assert await heads(place) == [frame(identity)]


async def test_what_is_added_where_nothing_may_wait_bears_it_too(
    registry: LocalRegistry, database: Path, place: Place
) -> None:
    """Within a running loop, too, as in a framework that calls synchronous code from one."""
    outbox = Outbox(shop(registry, database, register_schemas=True))
    engine = create_engine(f"sqlite:///{database}")

    with Session(engine) as session, session.begin():
        outbox.add_sync(session, OrderPlaced(order="o1"))
    engine.dispose()

    identity = registry.shelf.by_version(SUBJECT, None).id
    assert await heads(place) == [frame(identity)]


async def test_the_registry_is_asked_once_and_beforehand_if_need_be(
    registry: LocalRegistry, database: Path, engine: AsyncEngine, place: Place
) -> None:
    outbox = Outbox(shop(registry, database, register_schemas=True))

    await outbox.prepare(OrderPlaced)
    registry.shelf.close()
    await add(outbox, engine, "o1", "o2")

    assert await heads(place) == [frame(2)] * 2


async def test_those_who_begin_at_once_ask_once_together(database: Path) -> None:
    async with scripted(said(200, b'{"id": 2, "version": 1}')) as registry:
        outbox = Outbox(shop(registry.url, database))

        await asyncio.gather(*(outbox.prepare(OrderPlaced) for _ in range(10)))

    assert len(registry.asked) == 1


async def test_those_who_begin_at_once_without_a_registry_are_all_told(database: Path) -> None:
    outbox = Outbox(shop(away(), database))

    told = await asyncio.gather(
        *(outbox.prepare(OrderPlaced) for _ in range(3)), return_exceptions=True
    )

    assert [type(one) for one in told] == [RegistryUnavailable] * 3


async def test_while_the_registry_is_away_the_kept_id_is_written(
    database: Path, engine: AsyncEngine, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    url = away()
    outbox = Outbox(shop(url, database))
    folder = SchemaFolder(database.parent / "schemas")
    keep_ids(folder.root, url, {folder.committed(OrderPlaced).digest: 7})

    with caplog.at_level(logging.WARNING):
        await add(outbox, engine, "o1")

    assert await heads(place) == [frame(7)]
    assert "going on without the registry" in caplog.messages


async def test_an_id_that_nobody_knows_adds_nothing(
    database: Path, engine: AsyncEngine, place: Place
) -> None:
    outbox = Outbox(shop(away(), database))

    with pytest.raises(RegistryUnavailable):
        await add(outbox, engine, "o1")

    assert await heads(place) == []


async def test_a_contract_that_is_not_registered_is_told(
    registry: LocalRegistry, database: Path
) -> None:
    outbox = Outbox(shop(registry, database))

    with pytest.raises(ConfigurationError, match="choreo registry register"):
        await outbox.prepare(OrderPlaced)


async def test_single_object_encoding_asks_no_registry(
    database: Path, engine: AsyncEngine, place: Place
) -> None:
    outbox = Outbox(shop(away(), database, framing="single_object"))

    await add(outbox, engine, "o1")

    (head,) = await heads(place)
    assert head[:2] == b"\xc3\x01"
