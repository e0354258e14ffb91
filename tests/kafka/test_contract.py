"""KafkaBroker keeps the contract of all adapters on a real broker."""

# The client's stubs leave its futures and the names it re-exports open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportPrivateImportUsage=false

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from choreo.testing.contract import BrokerContract, BrokerSetup
from choreo.testing.contract.outages import Outages
from choreo_kafka import KafkaBroker
from tests.kafka.severed import sever
from tests.local import AbsentError, KafkaCluster, free_ports
from tests.local.parts import KafkaPart

OPTIONS = "&close_timeout=1&publish_timeout=3&stall_timeout=6&connect_timeout=3"


@pytest.mark.timeout(120)
class TestKafka(BrokerContract):
    @pytest.fixture
    def setup(self, real_kafka: KafkaPart) -> BrokerSetup:
        nobody = free_ports(1)[0]

        async def expire(topic: str) -> None:
            ends = await asyncio.to_thread(real_kafka.admin.leaders, topic)
            admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap})
            whole = [TopicPartition(topic, number, OFFSET_END) for number in ends]
            for done in admin.delete_records(whole).values():
                await asyncio.to_thread(done.result, 10)

        return BrokerSetup(
            open=lambda: KafkaBroker(real_kafka.hasty + OPTIONS),
            unreachable=lambda: KafkaBroker(f"kafka://127.0.0.1:{nobody}"),
            crash=sever,
            expire=expire,
            patience=20,
            quiet=0.5,
            idle=real_kafka.session + 1,
        )


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[KafkaCluster]:
    """Return a cluster that may be killed."""
    try:
        with KafkaCluster.running() as cluster:
            yield cluster
    except AbsentError as absent:
        pytest.skip(f"not here: {absent}")


@pytest.mark.slow
@pytest.mark.timeout(180)
class TestKafkaThroughOutages(Outages):
    @pytest.fixture
    def setup(self, own_cluster: KafkaCluster) -> BrokerSetup:
        (node,) = own_cluster.nodes

        @asynccontextmanager
        async def outage() -> AsyncGenerator[None]:
            await asyncio.to_thread(node.kill)
            try:
                yield
            finally:
                await asyncio.to_thread(own_cluster.start)

        async def restart() -> None:
            await asyncio.to_thread(node.terminate)
            await asyncio.to_thread(own_cluster.start)

        return BrokerSetup(
            open=lambda: KafkaBroker(f"kafka://{own_cluster.bootstrap}?session_timeout=3{OPTIONS}"),
            crash=sever,
            outage=outage,
            restart=restart,
            patience=40,
            quiet=0.5,
        )
