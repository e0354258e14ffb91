"""The Kafka that tests start does what they need of it, as seen through aiokafka."""

# aiokafka is annotated only here and there:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import TopicAuthorizationFailedError

from tests.conftest import StartKafka
from tests.local import KafkaCluster, KafkaPart, MockCluster, wait_until
from tests.local.kafka_security import PASSWORD, SASL_MECHANISMS, USER

PATIENCE = timedelta(seconds=20)
PRODUCE = 0
NOT_LEADER = 6


async def test_what_is_produced_is_consumed_in_a_group(
    kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    topic = kafka.create_topic(fresh_name("orders"))

    await produce(kafka.bootstrap, topic, count=100)

    assert await consume(kafka.bootstrap, topic, count=100) == {b"%d" % n for n in range(100)}


@pytest.mark.parametrize("mechanism", SASL_MECHANISMS)
@pytest.mark.parametrize("listener", ["SASL_PLAINTEXT", "SASL_SSL"])
async def test_a_secured_cluster_lets_its_user_in(
    secured_kafka: KafkaCluster, listener: str, mechanism: str, fresh_name: Callable[[str], str]
) -> None:
    topic = secured_kafka.admin.create_topic(fresh_name("orders"), partitions=1)

    await produce_as_user(secured_kafka, topic, listener=listener, mechanism=mechanism)

    assert await consume(secured_kafka.bootstrap, topic, count=1) == {b"secret"}


async def test_a_secured_cluster_takes_client_certificates(
    secured_kafka: KafkaCluster, fresh_name: Callable[[str], str]
) -> None:
    topic = secured_kafka.admin.create_topic(fresh_name("orders"), partitions=1)

    await produce_as_user(secured_kafka, topic, listener="SSL", mechanism="PLAIN")

    assert await consume(secured_kafka.bootstrap, topic, count=1) == {b"secret"}


async def test_writing_can_be_denied_and_allowed_again(
    secured_kafka: KafkaCluster, fresh_name: Callable[[str], str]
) -> None:
    topic = secured_kafka.admin.create_topic(fresh_name("dead"), partitions=1)
    secured_kafka.admin.deny_writing(topic)

    with pytest.raises(TopicAuthorizationFailedError):
        await produce_as_user(secured_kafka, topic, listener="SASL_SSL", mechanism="PLAIN")

    secured_kafka.admin.allow_writing(topic)
    await produce_as_user(secured_kafka, topic, listener="SASL_SSL", mechanism="PLAIN")


async def test_a_killed_node_comes_back_with_its_data(kafka_cluster: StartKafka) -> None:
    cluster = kafka_cluster()
    topic = cluster.admin.create_topic("orders")
    await produce(cluster.bootstrap, topic, count=10)

    cluster.nodes[0].kill()
    assert not cluster.admin.brokers()
    cluster.start(cluster.nodes[0])

    assert len(await consume(cluster.bootstrap, topic, count=10)) == 10


@pytest.mark.slow
def test_three_nodes_survive_the_loss_of_a_leader(kafka_cluster: StartKafka) -> None:
    cluster = kafka_cluster(nodes=3)
    topic = cluster.admin.create_topic("orders", partitions=3)
    lost = cluster.leader(topic)

    lost.kill()
    wait_until(lambda: lost.number not in cluster.admin.leaders(topic).values(), "leaders moved")
    cluster.start(lost)

    wait_until(lambda: cluster.admin.in_sync(topic), "the replicas caught up")


def test_a_frozen_node_is_silent_until_it_is_thawed(kafka_cluster: StartKafka) -> None:
    cluster = kafka_cluster()

    cluster.nodes[0].freeze()
    assert not cluster.admin.brokers()
    cluster.nodes[0].thaw()

    cluster.wait_ready()


async def test_a_mock_cluster_answers_with_the_errors_it_is_told(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    cluster = mock_cluster(2)
    topic = cluster.create_topic("orders", partitions=1, replicas=2)
    cluster.push_request_errors(PRODUCE, NOT_LEADER, NOT_LEADER)

    await produce(cluster.bootstrap, topic, count=1)

    assert len(await consume(cluster.bootstrap, topic, count=1)) == 1


async def test_a_mock_cluster_survives_a_broker(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    cluster = mock_cluster(2)
    topic = cluster.create_topic("orders", partitions=1, replicas=2)
    cluster.set_leader(topic, 0, 1)
    await produce(cluster.bootstrap, topic, count=1)

    cluster.broker_down(1)
    cluster.set_leader(topic, 0, 2)
    cluster.set_coordinator("readers", 2)

    assert len(await consume(cluster.bootstrap, topic, count=1)) == 1


# ── the client ────────────────────────────────────────────────────────────────────────────────


async def produce(bootstrap: str, topic: str, *, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for number in range(count):
            value = b"%d" % number
            await producer.send_and_wait(topic, value, key=value)


async def produce_as_user(
    cluster: KafkaCluster, topic: str, *, listener: str, mechanism: str
) -> None:
    assert cluster.security is not None
    trust = ssl.create_default_context(cafile=str(cluster.security.authority))
    if listener == "SSL":
        trust.load_cert_chain(cluster.security.client.chain, cluster.security.client.key)
    async with AIOKafkaProducer(
        bootstrap_servers=cluster.bootstrap_of(listener),
        security_protocol=listener,
        ssl_context=trust if listener.endswith("SSL") else None,
        sasl_mechanism=mechanism,
        sasl_plain_username=USER,
        sasl_plain_password=PASSWORD,
        sasl_oauth_token_provider=UnsignedToken(),
    ) as producer:
        await producer.send_and_wait(topic, b"secret")


async def consume(bootstrap: str, topic: str, *, count: int) -> set[bytes]:
    values: set[bytes] = set()
    async with (
        asyncio.timeout(PATIENCE.total_seconds()),
        AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id="readers", auto_offset_reset="earliest"
        ) as consumer,
    ):
        while len(values) < count:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                values |= {record.value or b"" for record in records}
    return values


class UnsignedToken(AbstractTokenProvider):
    """A token that names USER, which a broker without a validator believes."""

    async def token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] -- its base says None
        claims = {"sub": USER, "iat": time.time() - 1, "exp": time.time() + 3600}
        parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
        return (
            ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."
        )
