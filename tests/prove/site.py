"""Where a run happens: a real broker behind a proxy, and real databases."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from choreo.testing.checker import Effect
from choreo.testing.faults.proxy import Proxy
from choreo_sql import SqlStore
from tests.local import (
    KafkaCluster,
    Mosquitto,
    MosquittoOptions,
    Postgres,
    Process,
    free_ports,
)
from tests.prove.worker import CREATE, ROLES, TABLE, TOPICS

SESSION = 6
"""Seconds after which Kafka takes a silent process for dead: its shortest."""
PARTITIONS = 4
POOL = 6
ROWS = text(
    "SELECT service, handler, id, owner, number, at, payload, proc, life"
    " FROM effects ORDER BY place"
)
COUNT = text("SELECT count(*) FROM effects")
WAITING = text(
    "SELECT (SELECT count(*) FROM choreo_outbox) + (SELECT count(*) FROM choreo_outbox_timer)"
)
LATEST = text("SELECT service, max(at) FROM effects GROUP BY service")


@dataclass(slots=True, kw_only=True)
class Site:
    """One broker, and the databases beside it."""

    name: str
    run: str
    url: str
    """Of the broker, by way of the proxy."""
    direct: str
    """Host and port of the broker itself."""
    broker: Process
    proxy: Proxy
    each: int
    """Processes that a service may have."""
    stores: Mapping[str, str]
    """URL of each role's store."""
    opened: Sequence[SqlStore] = field(default_factory=list[SqlStore])
    """Every database, once."""

    @property
    def kafka(self) -> bool:
        """Whether the broker is Kafka."""
        return self.name.startswith("kafka")

    @property
    def bootstrap(self) -> str:
        """Where raw clients find Kafka: by way of the proxy, which it is advertised at."""
        return self.url.partition("://")[2].partition("?")[0]

    async def count(self) -> int:
        """Count the effects so far."""
        return sum([int((await _read(store, COUNT))[0][0]) for store in self.opened])

    async def waiting(self) -> int:
        """Count what waits in outboxes, timers included."""
        return sum([int((await _read(store, WAITING))[0][0]) for store in self.opened])

    async def latest(self) -> dict[str, float]:
        """Tell when each service had its latest effect."""
        found: dict[str, float] = {}
        for store in self.opened:
            for service, at in await _read(store, LATEST):
                found[service] = max(at, found.get(service, 0.0))
        return found

    async def effects(self) -> list[Effect]:
        """Read the ledgers, each in the order of its rows."""
        found: list[Effect] = []
        for store in self.opened:
            for row in await _read(store, ROWS):
                service, handler, identity, owner, number, at, payload, proc, life = row
                found.append(
                    Effect(
                        service=service,
                        handler=handler,
                        id=identity,
                        key=owner,
                        seq=number,
                        at=at,
                        payload=payload,
                        proc=proc,
                        incarnation=life,
                    )
                )
        return found


async def _read(store: SqlStore, query: Any) -> Sequence[Any]:  # noqa: ANN401 -- SQLAlchemy's own
    async with store.connections.reading() as connection:
        return (await connection.execute(query)).all()


@asynccontextmanager
async def kafka_and_postgresql(run: str) -> AsyncGenerator[Site]:
    """Start Kafka, advertised at a proxy that no client finds a way around, and PostgreSQL."""
    async with AsyncExitStack() as stack:
        (front,) = free_ports(1)
        proxy = await stack.enter_async_context(Proxy.running("127.0.0.1", 1, listen=front))
        advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{front}"}
        cluster = await _within(stack, KafkaCluster.running(heap="640m", properties=advertised))
        node = cluster.nodes[0]
        proxy.target = ("127.0.0.1", node.ports.clients["PLAINTEXT"])
        server = await _within(stack, Postgres.running({"max_connections": "200"}))
        for topic in TOPICS.values():
            await asyncio.to_thread(
                cluster.admin.create_topic, f"{run}-{topic}", partitions=PARTITIONS
            )
        database = f"{server.dsn}?create=true&pool={POOL}"
        yield Site(
            name="kafka + postgresql",
            run=run,
            url=f"kafka://127.0.0.1:{front}?session_timeout={SESSION}&partitions={PARTITIONS}",
            direct=node.address(),
            broker=node,
            proxy=proxy,
            each=2,
            stores=dict.fromkeys(ROLES, database),
            opened=[await _opened(stack, database)],
        )


@asynccontextmanager
async def mosquitto_and_sqlite(run: str, folder: Path) -> AsyncGenerator[Site]:
    """Start Mosquitto as it is shipped, and give every service a file of its own."""
    async with AsyncExitStack() as stack:
        broker = await _within(stack, Mosquitto.running(MosquittoOptions()))
        proxy = await stack.enter_async_context(Proxy.running("127.0.0.1", broker.port))
        stores = {role: f"sqlite:///{folder / role}.db" for role in ROLES}
        yield Site(
            name="mosquitto + sqlite",
            run=run,
            url=f"mqtt://127.0.0.1:{proxy.port}?keepalive=5",
            direct=f"127.0.0.1:{broker.port}",
            broker=broker,
            proxy=proxy,
            each=1,
            stores=stores,
            opened=[await _opened(stack, url) for url in stores.values()],
        )


async def _within(stack: AsyncExitStack, starting: Any) -> Any:  # noqa: ANN401 -- any of the parts
    """Enter what starts and stops processes without standing in the proxy's way."""
    entered = await asyncio.to_thread(starting.__enter__)
    stack.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
    return entered


async def _opened(stack: AsyncExitStack, url: str) -> SqlStore:
    store = await stack.enter_async_context(SqlStore(url))
    async with store.connections.writing() as connection:
        key = TABLE[connection.dialect.name]
        await connection.execute(text(CREATE.format(key=key)))
    return store
