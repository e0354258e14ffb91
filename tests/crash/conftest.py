"""Where runs happen: every pair of a real broker and a database."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from choreo import Service
from choreo.runner import Running, started
from choreo_sql import SqlStore
from tests.crash.processes import Nursery
from tests.crash.world import Plan, World, make_table
from tests.local import KafkaPart, MqttPart, PostgresPart
from tests.patience import patient

SESSION = 6.0
"""Seconds after which Kafka takes a silent process for dead: its shortest."""
POOL = 8
"""Connections of PostgreSQL for the handlers of one process."""
ROLES = ("payments", "ledger")


@dataclass(slots=True, kw_only=True)
class Ground:
    """One broker and one kind of database, with all that runs there share."""

    broker: str
    kafka: KafkaPart | None
    database: str | None
    """URL of a PostgreSQL database; None for SQLite."""
    folder: Path
    fresh_name: Callable[[str], str]
    nursery: Nursery
    producer: Running
    stack: AsyncExitStack
    shared: SqlStore | None
    """That database, open."""

    async def world(
        self,
        stem: str,
        options: str = "",
        ports: tuple[int, int] | None = None,
        **details: Any,  # noqa: ANN401 -- fields of a Plan
    ) -> World:
        """Make topics and databases for one run, whose stores' URLs get *options* more.

        Services reach a database at the second of *ports* that we reach at the first.
        """
        run = self.fresh_name(stem.replace("_", "-"))
        if self.kafka is not None:
            topics = [f"{run}-orders", f"{run}-taken"]
            await asyncio.gather(*(asyncio.to_thread(self._topic, topic) for topic in topics))
        stores: dict[str, SqlStore] = {}
        for role in ROLES:
            stores[role] = self.shared or await self._own(run, role)
        urls = {role: _with(self.database or self._file(run, role), options) for role in ROLES}
        if ports is not None:
            near, far = (f":{port}/" for port in ports)
            urls = {role: url.replace(near, far) for role, url in urls.items()}
        plan = Plan(run=run, broker=self.broker, stores=urls, folder=self.folder, **details)
        return World(plan, self.nursery, stores)

    def _topic(self, name: str) -> None:
        assert self.kafka is not None
        self.kafka.create_topic(name, partitions=2)

    def _file(self, run: str, role: str) -> str:
        return f"sqlite:///{self.folder / run}-{role}.db"

    async def _own(self, run: str, role: str) -> SqlStore:
        return await opened(self.stack, self._file(run, role))


def _with(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{options}" if options else url


async def opened(stack: AsyncExitStack, url: str) -> SqlStore:
    """Open a store until *stack* is left, and make the table of effects in it."""
    store = await stack.enter_async_context(SqlStore(url))
    await make_table(store)
    return store


@asynccontextmanager
async def database(postgres: PostgresPart, name: str) -> AsyncGenerator[str]:
    """Yield the URL of an empty PostgreSQL database, which goes afterwards."""
    await _order(postgres, f"CREATE DATABASE {name}")
    yield f"{postgres.dsn.rpartition('/')[0]}/{name}?create=true&pool={POOL}"
    await _order(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def _order(postgres: PostgresPart, statement: str) -> None:
    async with asyncio.timeout(patient(20)):
        server = await asyncpg.connect(postgres.dsn)
        try:
            await server.execute(statement)
        finally:
            await server.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A broker and a database; no PostgreSQL means SQLite."""

    broker: KafkaPart | MqttPart
    postgres: PostgresPart | None

    @property
    def url(self) -> str:
        """Of the broker, as services are given it."""
        if isinstance(self.broker, KafkaPart):
            return f"{self.broker.url}?session_timeout={SESSION:g}&partitions=2"
        return self.broker.url


@pytest.fixture(params=["kafka-postgresql", "kafka-sqlite", "mqtt-postgresql", "mqtt-sqlite"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Return each pair in turn."""
    broker, store = str(request.param).split("-")
    part = request.getfixturevalue("real_kafka" if broker == "kafka" else "mosquitto")
    postgres = request.getfixturevalue("postgres") if store == "postgresql" else None
    return Pair(broker=part, postgres=postgres)


@pytest.fixture
async def ground(
    pair: Pair, tmp_path: Path, fresh_name: Callable[[str], str]
) -> AsyncGenerator[Ground]:
    """Return where runs happen, on each pair in turn."""
    async with AsyncExitStack() as stack:
        url: str | None = None
        if pair.postgres is not None:
            name = fresh_name("crash").replace("-", "_")
            url = await stack.enter_async_context(database(pair.postgres, name))
        nursery = await stack.enter_async_context(Nursery())
        producer = await stack.enter_async_context(started(Service("orders", broker=pair.url)))
        yield Ground(
            broker=pair.url,
            kafka=pair.broker if isinstance(pair.broker, KafkaPart) else None,
            database=url,
            folder=tmp_path,
            fresh_name=fresh_name,
            nursery=nursery,
            producer=producer,
            stack=stack,
            shared=await opened(stack, url) if url else None,
        )
