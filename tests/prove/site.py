"""Where a run happens: a real broker behind a proxy, and real databases."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.testing.faults.proxy import Proxy
from tests.local import (
    KafkaCluster,
    Mosquitto,
    MosquittoOptions,
    Postgres,
    Process,
    free_ports,
)
from tests.prove.ledgers import Ledgers, open_ledgers
from tests.prove.worker import ROLES, TOPICS

SESSION = 6
"""Seconds after which Kafka takes a silent process for dead: its shortest."""
PARTITIONS = 4
POOL = 6


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
    ledgers: Ledgers

    @property
    def kafka(self) -> bool:
        """Whether the broker is Kafka."""
        return self.name.startswith("kafka")

    @property
    def bootstrap(self) -> str:
        """Where raw clients find Kafka: by way of the proxy, which it is advertised at."""
        return self.url.partition("://")[2].partition("?")[0]


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
            ledgers=await open_ledgers(stack, run, [database]),
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
            ledgers=await open_ledgers(stack, run, stores.values()),
        )


async def _within(stack: AsyncExitStack, starting: Any) -> Any:  # noqa: ANN401 -- any of the parts
    """Enter what starts and stops processes without standing in the proxy's way."""
    entered = await asyncio.to_thread(starting.__enter__)
    stack.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
    return entered
