"""TLS and SASL on a real broker."""

from collections.abc import Callable

import pytest

from choreo.broker import TopicSpec
from choreo.errors import ConfigurationError, ConnectionLost, PublishError
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.kafka.ear import Ear, bodies, receive, subscription
from tests.local import KafkaCluster, KafkaPart
from tests.local.kafka_security import PASSWORD, USER
from tests.local.process import free_ports

Name = Callable[[str], str]
LOGIN = f"{USER}:{PASSWORD}@"


class Unsigned:
    """Tokens a test broker believes: RFC 7515 without a signature."""

    async def token(self) -> str:
        from base64 import urlsafe_b64encode  # noqa: PLC0415
        from json import dumps  # noqa: PLC0415
        from time import time  # noqa: PLC0415

        def part(content: dict[str, object]) -> str:
            return urlsafe_b64encode(dumps(content).encode()).decode().rstrip("=")

        claims: dict[str, object] = {"sub": USER, "iat": time() - 5, "exp": time() + 600}
        return f"{part({'alg': 'none'})}.{part(claims)}."


def url(cluster: KafkaCluster, listener: str, login: str = "", options: str = "") -> str:
    assert cluster.security is not None
    tls = listener.endswith("SSL")
    trust = f"cafile={cluster.security.authority}&" if tls else ""
    return f"kafka{'+ssl' * tls}://{login}{cluster.bootstrap_of(listener)}?{trust}{options}"


async def passes(broker: KafkaBroker, topic: str) -> None:
    """Publish and receive through *broker*."""
    async with broker:
        await broker.prepare([TopicSpec(name=topic, create=True, partitions=1)])
        await broker.publish([Message(topic, b"body", b"key")])
        async with broker.subscribe(subscription(topic, topic), Ear()) as consumer:
            assert bodies(await receive(consumer, 1)) == [b"body"]


async def test_tls_with_a_private_authority(secured_kafka: KafkaCluster, fresh_name: Name) -> None:
    await passes(KafkaBroker(url(secured_kafka, "SSL")), fresh_name("topic"))


async def test_tls_with_a_certificate_of_our_own(
    secured_kafka: KafkaCluster, fresh_name: Name
) -> None:
    assert secured_kafka.security is not None
    own = secured_kafka.security.client
    options = f"certfile={own.chain}&keyfile={own.key}"

    await passes(KafkaBroker(url(secured_kafka, "SSL", options=options)), fresh_name("topic"))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("listener", ["SASL_PLAINTEXT", "SASL_SSL"])
async def test_a_password(
    secured_kafka: KafkaCluster, fresh_name: Name, listener: str, mechanism: str
) -> None:
    address = url(secured_kafka, listener, LOGIN, f"sasl={mechanism}")

    await passes(KafkaBroker(address), fresh_name("topic"))


async def test_a_token(secured_kafka: KafkaCluster, fresh_name: Name) -> None:
    address = url(secured_kafka, "SASL_SSL", options="sasl=OAUTHBEARER")

    await passes(KafkaBroker(address, tokens=Unsigned()), fresh_name("topic"))


async def test_a_token_needs_a_provider(secured_kafka: KafkaCluster) -> None:
    with pytest.raises(ConfigurationError, match="tokens="):
        async with KafkaBroker(url(secured_kafka, "SASL_SSL", options="sasl=OAUTHBEARER")):
            pass


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_a_configuration_error(
    secured_kafka: KafkaCluster, mechanism: str
) -> None:
    wrong = url(secured_kafka, "SASL_SSL", f"{USER}:wr0ng@", f"sasl={mechanism}")

    with pytest.raises(ConfigurationError, match="refuses") as refused:
        async with KafkaBroker(wrong):
            pass
    assert "wr0ng" not in str(refused.value)


async def test_an_unknown_authority_is_a_configuration_error(secured_kafka: KafkaCluster) -> None:
    with pytest.raises(ConfigurationError, match="refuses"):
        async with KafkaBroker(f"kafka+ssl://{secured_kafka.bootstrap_of('SSL')}"):
            pass


async def test_a_forbidden_topic_is_refused_and_others_are_not(
    secured_kafka: KafkaCluster, fresh_name: Name
) -> None:
    """P4: and it works once the rule is lifted."""
    denied, free = fresh_name("denied"), fresh_name("free")
    admin = secured_kafka.admin
    for topic in (denied, free):
        admin.create_topic(topic, partitions=1)
    admin.deny_writing(denied)
    async with KafkaBroker(url(secured_kafka, "SASL_PLAINTEXT", LOGIN)) as broker:
        with pytest.raises(PublishError) as told:
            await broker.publish([Message(denied, b"1", b"key"), Message(free, b"2", b"key")])
        admin.allow_writing(denied)
        await broker.publish([Message(denied, b"3", b"key")])

        assert set(told.value.refused) == {0}
        assert not told.value.unknown
        async with broker.subscribe(subscription(fresh_name("group"), denied, free), Ear()) as c:
            assert sorted(bodies(await receive(c, 2)), key=repr) == [b"2", b"3"]


async def test_tls_at_a_port_without_it_is_told(real_kafka: KafkaPart) -> None:
    broker = KafkaBroker(f"kafka+ssl://{real_kafka.bootstrap}?connect_timeout=5")

    with pytest.raises(ConnectionLost, match="hangs up on a TLS handshake: does it speak TLS"):
        await broker.__aenter__()


async def test_no_tls_at_a_port_with_it_is_told(secured_kafka: KafkaCluster) -> None:
    broker = KafkaBroker(f"kafka://{secured_kafka.bootstrap_of('SSL')}?connect_timeout=5")

    with pytest.raises(ConnectionLost, match=r"if it wants TLS, is the URL kafka\+ssl://"):
        await broker.__aenter__()


async def test_a_port_that_nobody_listens_at_is_told() -> None:
    (port,) = free_ports(1)
    broker = KafkaBroker(f"kafka://127.0.0.1:{port}?connect_timeout=5")

    with pytest.raises(ConnectionLost, match=f"127.0.0.1:{port}: .*Connect call failed"):
        await broker.__aenter__()
