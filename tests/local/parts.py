"""What one test run talks to: a broker that was given, one started here, or none and why."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from tests.local.apicurio import Apicurio
from tests.local.kafka import KafkaCluster
from tests.local.kafka_admin import KafkaAdmin
from tests.local.mock_cluster import MockCluster
from tests.local.mosquitto import Mosquitto
from tests.local.postgres import Postgres
from tests.local.process import AbsentError, StartError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KafkaPart:
    """The Kafka of this run; *cluster* or *mock* is there when this run started it."""

    bootstrap: str
    cluster: KafkaCluster | None = None
    mock: MockCluster | None = None

    @property
    def url(self) -> str:
        return f"kafka://{self.bootstrap}"

    @property
    def session(self) -> int:
        """Seconds of the shortest session: a broker that was given may keep to Kafka's 6."""
        return 6 if self.cluster is None and self.mock is None else 3

    @property
    def hasty(self) -> str:
        """Its URL with the shortest session."""
        return f"{self.url}?session_timeout={self.session}"

    @property
    def real(self) -> bool:
        return self.mock is None

    @property
    def admin(self) -> KafkaAdmin:
        return KafkaAdmin(self.bootstrap)

    def create_topic(self, name: str, *, partitions: int = 8) -> str:
        """Make the topic and return its name."""
        if self.mock is not None:
            return self.mock.create_topic(name, partitions=partitions)
        return self.admin.create_topic(name, partitions=partitions)


@dataclass(frozen=True, slots=True)
class MqttPart:
    """The MQTT broker of this run; *broker* is there when this run started it."""

    url: str
    broker: Mosquitto | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 1883


@dataclass(frozen=True, slots=True)
class PostgresPart:
    """The PostgreSQL of this run; *server* is there when this run started it."""

    dsn: str
    server: Postgres | None = None


@dataclass(frozen=True, slots=True)
class RegistryPart:
    """The schema registry of this run; *registry* is there when this run started it."""

    url: str
    registry: Apicurio | None = None


class Once(Generic[T]):
    """Something started when it is first asked for; had it failed, it fails the same each time."""

    def __init__(self, start: Callable[[], T]) -> None:
        self._start = start
        self._started: list[T] = []
        self._failure: Exception | None = None

    def __call__(self) -> T:
        if self._failure is not None:
            raise self._failure
        if not self._started:
            try:
                self._started.append(self._start())
            except (AbsentError, StartError) as failure:
                self._failure = failure
                raise
        return self._started[0]


class Parts:
    """All parts of one run: each started once, all stopped by `close`."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self.kafka = Once(self._kafka)
        self.secured_kafka = Once(self._secured_kafka)
        self.mqtt = Once(self._mqtt)
        self.postgres = Once(self._postgres)
        self.schema_registry = Once(self._schema_registry)
        self.why_mock: str | None = None

    def close(self) -> None:
        self._running.close()

    def _kafka(self) -> KafkaPart:
        if given := os.environ.get("CHOREO_TEST_KAFKA"):
            return KafkaPart(given)
        try:
            cluster = self._running.enter_context(KafkaCluster.running(heap="768m"))
        except AbsentError as absent:
            self.why_mock = str(absent)
            mock = self._running.enter_context(MockCluster.running())
            return KafkaPart(mock.bootstrap, mock=mock)
        return KafkaPart(cluster.bootstrap, cluster=cluster)

    def _secured_kafka(self) -> KafkaCluster:
        return self._running.enter_context(KafkaCluster.running(secured=True))

    def _mqtt(self) -> MqttPart:
        if given := os.environ.get("CHOREO_TEST_MQTT"):
            return MqttPart(f"mqtt://{given}")
        broker = self._running.enter_context(Mosquitto.running())
        return MqttPart(broker.url, broker=broker)

    def _postgres(self) -> PostgresPart:
        if given := os.environ.get("CHOREO_TEST_POSTGRES"):
            return PostgresPart(given)
        # Nothing kills this one, and even then the kernel would have what was written.
        # The crash tests run two dozen processes at once, each with a pool of its own.
        options = {"fsync": "off", "max_connections": "400"}
        server = self._running.enter_context(Postgres.running(options))
        return PostgresPart(server.dsn, server=server)

    def _schema_registry(self) -> RegistryPart:
        if given := os.environ.get("CHOREO_TEST_REGISTRY"):
            return RegistryPart(given)
        registry = self._running.enter_context(Apicurio.running())
        return RegistryPart(registry.url, registry=registry)
