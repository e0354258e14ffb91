"""Events emitted in an application's own transaction, on SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from choreo import Event, Service
from choreo.errors import ConfigurationError, SchemaError
from choreo.outbox import Outbox
from choreo_sql import SqlStore
from tests.outbox.emitting import Place


class OrderPlaced(Event, topic="orders", key="order"):
    order: str


class Numbered(Event, topic="orders", key="order", sequence="auto"):
    order: str


class Application:
    """An application beside the service: its own engine, its own table."""

    def __init__(self, service: Service[Any], engine: AsyncEngine, place: Place) -> None:
        self.service = service
        self.engine = engine
        self.place = place

    async def told(self) -> list[str]:
        """Tell the ids of what the service's relay would publish."""
        return [row.identity for row in await self.place.read()]


@pytest.fixture
async def application(url: str) -> AsyncGenerator[Application]:
    parsed = make_url(url).set(query={})
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    engine = create_async_engine(parsed.set(drivername=driver[parsed.drivername]))
    async with SqlStore(url) as store:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE placed (name TEXT)"))
        place = Place(await store.ledger("shop", []))
        yield Application(Service("shop", store=url), engine, place)
        await engine.dispose()


async def test_an_event_is_emitted_with_the_sessions_own_commit(application: Application) -> None:
    outbox = Outbox(application.service)
    assert await application.told() == []

    async with AsyncSession(application.engine) as session, session.begin():
        await session.execute(text("INSERT INTO placed VALUES ('o1')"))
        (identity,) = await outbox.add(session, OrderPlaced(order="o1"))
        before = await application.place.outbox.read("one", 500)

    assert not before
    assert await application.told() == [identity]


async def test_an_event_is_not_emitted_when_the_transaction_rolls_back(
    application: Application,
) -> None:
    """O11: it is the very transaction of the application."""
    outbox = Outbox(application.service)

    async with AsyncSession(application.engine) as session:
        await session.execute(text("INSERT INTO placed VALUES ('o1')"))
        await outbox.add(session, OrderPlaced(order="o1"))
        await session.rollback()

    assert await application.told() == []
    async with application.engine.connect() as connection:
        assert (await connection.scalar(text("SELECT count(*) FROM placed"))) == 0


async def test_a_connection_will_do(application: Application) -> None:
    outbox = Outbox(application.service)

    async with application.engine.begin() as connection:
        ids = await outbox.add(connection, OrderPlaced(order="o1"), OrderPlaced(order="o1"))

    assert await application.told() == ids


async def test_cause_and_conversation_are_carried(application: Application) -> None:
    outbox = Outbox(application.service)

    async with application.engine.begin() as connection:
        event = OrderPlaced(order="o1")
        await outbox.add(connection, event, correlation="talk", causation="cause")
        await outbox.add(connection, event, correlation="talk")
        (root,) = await outbox.add(connection, event)

    headers = [dict(row.message.headers) for row in await application.place.read()]
    assert [one["ce_correlationid"] for one in headers] == [b"talk", b"talk", root.encode()]
    assert [one.get("ce_causationid") for one in headers] == [b"cause", None, None]


async def test_numbers_are_given_in_the_applications_transaction(application: Application) -> None:
    """R5."""
    outbox = Outbox(application.service)

    for order in ("o1", "o2", "o1"):
        async with application.engine.begin() as connection:
            await outbox.add(connection, Numbered(order=order))

    assert [row.number for row in await application.place.read()] == [1, 1, 2]


async def test_a_commit_wakes_who_asked_for_it_once(application: Application) -> None:
    woken: list[str] = []
    outbox = Outbox(application.service, woken=lambda: woken.append("now"))

    async with AsyncSession(application.engine) as session:
        await outbox.add(session, OrderPlaced(order="o1"))
        await outbox.add(session, OrderPlaced(order="o2"))
        before = list(woken)
        await session.commit()
        await session.rollback()

    assert (before, woken) == ([], ["now"])


async def test_a_service_that_never_ran_has_an_outbox(application: Application, url: str) -> None:
    outbox = Outbox(Service("newcomer", store=url))

    async with application.engine.begin() as connection:
        ids = await outbox.add(connection, OrderPlaced(order="o1"))

    async with SqlStore(url) as store:
        place = Place(await store.ledger("newcomer", []))
        assert [row.identity for row in await place.read()] == ids


async def test_sessions_that_add_before_the_service_ever_ran_fail_none_of_each_other(
    application: Application,
) -> None:
    """The first requests of a new web server come at the same time."""
    outbox = Outbox(Service("new", store=application.service.store))
    reached = asyncio.Barrier(3)

    async def order(name: str) -> None:
        async with AsyncSession(application.engine) as session:
            await session.execute(text("SELECT count(*) FROM placed"))
            await reached.wait()
            await outbox.add(session, OrderPlaced(order=name))
            await session.commit()

    await asyncio.gather(order("o1"), order("o2"), order("o3"))

    async with application.engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM choreo_outbox")) == 3


async def test_a_database_without_tables_is_told_with_the_command_that_makes_them(
    application: Application,
) -> None:
    async with application.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE choreo_service RENAME TO gone"))
    outbox = Outbox(application.service)

    async with AsyncSession(application.engine) as session:
        with pytest.raises(SchemaError, match="choreo store init --store"):
            await outbox.add(session, OrderPlaced(order="o1"))


@pytest.fixture
def sqlite_engine(tmp_path: object) -> Generator[tuple[Engine, str]]:
    url = f"sqlite:///{tmp_path}/sync.db"
    engine = create_engine(url)
    yield engine, url
    engine.dispose()


async def test_plain_sessions_and_connections_will_do(sqlite_engine: tuple[Engine, str]) -> None:
    engine, url = sqlite_engine
    outbox = Outbox(Service("shop", store=url))
    async with SqlStore(url) as store:
        place = Place(await store.ledger("shop", []))
        with Session(engine) as session, session.begin():
            first = outbox.add_sync(session, OrderPlaced(order="o1"))
        with engine.begin() as connection:
            second = outbox.add_sync(connection, OrderPlaced(order="o1"))

        assert [row.identity for row in await place.read()] == [*first, *second]


def test_another_database_than_the_stores_is_refused(sqlite_engine: tuple[Engine, str]) -> None:
    engine, _ = sqlite_engine
    outbox = Outbox(Service("shop", store="sqlite:///elsewhere.db"))

    with engine.connect() as connection, pytest.raises(ConfigurationError, match="elsewhere"):
        outbox.add_sync(connection, OrderPlaced(order="o1"))


@pytest.mark.parametrize("store", [None, "memory://"])
def test_a_service_without_a_database_has_no_outbox_to_add_to(store: str | None) -> None:
    with pytest.raises(ConfigurationError, match="outbox"):
        Outbox(Service("shop", store=store))


def test_what_is_no_session_is_refused(sqlite_engine: tuple[Engine, str]) -> None:
    engine, url = sqlite_engine
    outbox = Outbox(Service("shop", store=url))

    with pytest.raises(ConfigurationError, match="Engine is no Session"):
        outbox.add_sync(engine, OrderPlaced(order="o1"))


async def test_a_plain_session_is_told_which_method_takes_it(
    sqlite_engine: tuple[Engine, str],
) -> None:
    engine, url = sqlite_engine
    place: Any = Session(engine)

    with pytest.raises(ConfigurationError, match=r"not Session; add_sync\(\) takes"):
        await Outbox(Service("shop", store=url)).add(place, OrderPlaced(order="o1"))
