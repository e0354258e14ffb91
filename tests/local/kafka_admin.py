"""What tests ask of a Kafka cluster, whoever started it."""

# The client's stubs leave its futures and the names it re-exports open:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false
# pyright: reportPrivateImportUsage=false

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.local.kafka_security import USER
from tests.local.process import wait_until

REQUEST_TIMEOUT = 15.0
Rule = tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]


class KafkaAdmin:
    """A short-lived admin client over the plain listener."""

    def __init__(self, bootstrap: str) -> None:
        quiet = {"log_level": 0, "topic.metadata.refresh.interval.ms": 500}
        self._client = AdminClient({"bootstrap.servers": bootstrap, **quiet})

    def brokers(self) -> frozenset[int]:
        """Return the ids the cluster names at this moment; none when it does not answer."""
        try:
            return frozenset(self._client.list_topics(timeout=1.0).brokers)
        except KafkaException:
            return frozenset()

    def create_topic(
        self,
        name: str,
        *,
        partitions: int = 8,
        replicas: int = -1,
        config: Mapping[str, str] | None = None,
    ) -> str:
        """Make the topic, wait until every partition has a leader, and return its name."""
        topic = NewTopic(name, partitions, replicas, config=dict(config or {}))
        _settle(self._client.create_topics([topic], operation_timeout=REQUEST_TIMEOUT))
        wait_until(lambda: len(self.leaders(name)) == partitions, f"leaders of {name}")
        return name

    def delete_topic(self, name: str) -> None:
        _settle(self._client.delete_topics([name], operation_timeout=REQUEST_TIMEOUT))

    def leaders(self, topic: str) -> Mapping[int, int]:
        """Return partition → leading node, without the leaderless."""
        metadata = self._client.list_topics(topic, timeout=REQUEST_TIMEOUT).topics[topic]
        return {n: p.leader for n, p in metadata.partitions.items() if p.leader > 0}

    def controller(self) -> int:
        """Return the node that the cluster names as its controller."""
        future = self._client.describe_cluster(request_timeout=REQUEST_TIMEOUT)
        return int(future.result(timeout=REQUEST_TIMEOUT).controller.id)

    def coordinator(self, group: str) -> int:
        """Return the node that coordinates a group."""
        return int(self._described(group).coordinator.id)

    def members(self, group: str) -> int:
        """Count the members of a group, of which some may be gone without a word."""
        return len(self._described(group).members)

    def _described(self, group: str) -> Any:  # noqa: ANN401 - the client has no types
        (future,) = self._client.describe_consumer_groups(
            [group], request_timeout=REQUEST_TIMEOUT
        ).values()
        return future.result(timeout=REQUEST_TIMEOUT)

    def in_sync(self, topic: str) -> bool:
        """Tell whether every replica of every partition has caught up."""
        metadata = self._client.list_topics(topic, timeout=REQUEST_TIMEOUT).topics[topic]
        partitions = metadata.partitions.values()
        return bool(partitions) and all(set(p.isrs) == set(p.replicas) for p in partitions)

    def deny_writing(self, topic: str) -> None:
        """Refuse what USER publishes to the topic; everybody else may go on."""
        _settle(self._client.create_acls([AclBinding(*_rule(topic))]))

    def allow_writing(self, topic: str) -> None:
        """Lift `deny_writing`."""
        _settle(self._client.delete_acls([AclBindingFilter(*_rule(topic))]))


def _rule(topic: str) -> Rule:
    place = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL)
    return (*place, f"User:{USER}", "*", AclOperation.WRITE, AclPermissionType.DENY)


def _settle(requests: Mapping[Any, Future[Any]]) -> None:
    for request in requests.values():
        request.result(timeout=REQUEST_TIMEOUT)
