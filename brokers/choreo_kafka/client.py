"""aiokafka behind Protocols of our own: the only module that builds its objects.

What is private in aiokafka 0.14 and used here: reading offsets with their metadata (the public call
drops it), asking whether a topic exists without creating it, which connections there are, and
adding records to a batch without serializers in between.
"""

import asyncio
import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from traceback import walk_tb
from typing import Any, Protocol, cast

import aiokafka
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn  # pyright: ignore[reportUnknownVariableType]
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import TopicPartition

from choreo_kafka.passing import refusal
from choreo_kafka.security import TokenProvider, login
from choreo_kafka.settings import KafkaSettings

REFUSALS = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    ssl.SSLCertVerificationError,
)
"""What says that trying again as we are will not help."""
HEARTBEAT_MS = 1000
"""How soon a member hears of a rebalance, for which everybody waits for the last to hear."""
METADATA_PAUSE = 0.1
"""Seconds between two questions for partitions that a broker does not tell of yet."""
NOT_THERE = {3, 5}
"""Codes that say a topic, or a leader of it, is not there: UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE."""


class Record(Protocol):
    """One record as aiokafka hands it over."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class RawConsumer(Protocol):
    """What is used of AIOKafkaConsumer."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def subscribe(self, topics: Sequence[str], *, listener: ConsumerRebalanceListener) -> None: ...
    def assign(self, partitions: Sequence[TopicPartition]) -> None: ...
    def assignment(self) -> Collection[TopicPartition]: ...
    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> Mapping[TopicPartition, Sequence[Record]]: ...
    async def position(self, partition: TopicPartition) -> int: ...
    def highwater(self, partition: TopicPartition) -> int | None: ...
    def last_poll_timestamp(self, partition: TopicPartition) -> int | None: ...
    def seek(self, partition: TopicPartition, offset: int) -> None: ...
    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None: ...
    async def beginning_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]: ...
    async def end_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]: ...
    def partitions_for_topic(self, topic: str) -> Collection[int] | None: ...


class Batch(Protocol):
    """What is used of BatchBuilder."""

    def record_count(self) -> int: ...


class Records(Protocol):
    """What is used of the builder of records in a batch."""

    def append(
        self,
        offset: int,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes | None]],
    ) -> Any | None: ...  # noqa: ANN401 - a record of an extension module that has no types
    def size(self) -> int: ...


class RawProducer(Protocol):
    """What is used of AIOKafkaProducer."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def create_batch(self) -> Batch: ...
    async def send_batch(
        self, batch: Batch, topic: str, *, partition: int
    ) -> asyncio.Future[object]: ...
    async def partitions_for(self, topic: str) -> Collection[int]: ...


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps us from the cluster."""

    text: str
    final: bool = False
    """Whether trying again as we are will not help."""


class Clients:
    """Makes aiokafka's objects, all with the same addresses and credentials."""

    def __init__(self, settings: KafkaSettings, tokens: TokenProvider | None) -> None:
        self._settings = settings
        self._tokens = tokens
        self._security: Mapping[str, object] | None = None

    def producer(self) -> RawProducer:
        """Build a producer whose acknowledgement means stored on every replica in sync (P1)."""
        settings = self._settings
        arguments = self._common(settings.request_timeout or timedelta(seconds=40))
        return cast(
            "RawProducer",
            aiokafka.AIOKafkaProducer(
                **arguments,
                acks="all",
                enable_idempotence=True,
                max_batch_size=settings.batch_bytes,
                compression_type=settings.compression,
            ),
        )

    def member(self, group: str, drain: timedelta) -> RawConsumer:
        """Build a consumer that joins *group* and leaves every decision about offsets to us."""
        settings = self._settings
        rebalance = settings.rebalance(drain)
        arguments = self._common(settings.request(rebalance))
        return cast(
            "RawConsumer",
            aiokafka.AIOKafkaConsumer(
                **arguments,
                **self._fetching(),
                group_id=group,
                group_instance_id=settings.group_instance_id,
                session_timeout_ms=_ms(settings.session_timeout),
                heartbeat_interval_ms=HEARTBEAT_MS,
                rebalance_timeout_ms=_ms(rebalance),
                enable_auto_commit=False,
            ),
        )

    def reader(self) -> RawConsumer:
        """Build a consumer outside of any group."""
        settings = self._settings
        arguments = self._common(settings.request_timeout or timedelta(seconds=40))
        return cast(
            "RawConsumer",
            aiokafka.AIOKafkaConsumer(
                **arguments, **self._fetching(), group_id=None, enable_auto_commit=False
            ),
        )

    def admin(self) -> AIOKafkaAdminClient:
        """Build an admin client."""
        arguments = self._common(self._settings.connect_timeout)
        return AIOKafkaAdminClient(**arguments)

    async def obstacle(self) -> Obstacle | None:
        """Find out what keeps us from the cluster, which its clients do not tell; None if nothing.

        What a server that answers has to say is preferred to the silence of others.
        """
        timeout = self._settings.connect_timeout
        arguments = dict(self._common(timeout))
        arguments.pop("metadata_max_age_ms")
        found: Obstacle | None = None
        for server in arguments.pop("bootstrap_servers"):
            host, _, port = server.rpartition(":")
            try:
                async with asyncio.timeout(timeout.total_seconds()):
                    connection: Any = await create_conn(host.strip("[]"), int(port), **arguments)
                connection.close()
            except REFUSALS as error:
                return Obstacle(final=True, text=f"{type(error).__name__}: {error}")
            except TimeoutError:
                found = found or Obstacle(f"{server} does not answer")
            except OSError as error:
                hint = f"{server} hangs up on a TLS handshake: does it speak TLS at this port?"
                told = str(error) and f"{server}: {error}"
                found = found or Obstacle(told or hint)
            except KafkaError:
                hint = "is it Kafka, and if it wants TLS, is the URL kafka+ssl://?"
                found = found or Obstacle(f"{server} hangs up: {hint}")
        return found

    def _fetching(self) -> Mapping[str, Any]:
        return {
            "auto_offset_reset": "none",  # K24: never let the client choose where to go on
            "isolation_level": "read_committed",
            "max_partition_fetch_bytes": self._settings.fetch_bytes,
            "fetch_max_bytes": 16 * self._settings.fetch_bytes,
            "client_rack": self._settings.rack,
        }

    def _common(self, request_timeout: timedelta) -> Mapping[str, Any]:
        if self._security is None:
            self._security = login(self._settings, self._tokens)
        return {
            "bootstrap_servers": list(self._settings.servers),
            "client_id": self._settings.client_id,
            "request_timeout_ms": _ms(request_timeout),
            "metadata_max_age_ms": _ms(self._settings.metadata_age),
            **self._security,
        }


def records_of(batch: Batch) -> Records:
    """Find what builds the records of *batch*: its own way there costs a quarter of building one.

    Whoever adds some tells how many there are, with ``counted``.
    """
    return cast("Records", cast("Any", batch)._builder)  # noqa: SLF001


def counted(batch: Batch, records: int) -> None:
    """Tell *batch* how many *records* were added to it."""
    cast("Any", batch)._relative_offset = records  # noqa: SLF001


def connection_of(client: object) -> Any:  # noqa: ANN401 - private to aiokafka
    """Find the part of a client object that holds its connections."""
    inner = cast("Any", client)
    return inner.client if hasattr(inner, "client") else inner._client  # noqa: SLF001


def severed(client: RawConsumer) -> bool:
    """Say whether *client* has no connection to any node of the cluster."""
    connections = connection_of(client)._conns.values()  # noqa: SLF001
    return not any(connection.connected() for connection in connections)


async def described(client: RawProducer | RawConsumer, topics: Sequence[str]) -> Mapping[str, int]:
    """Count the partitions of those *topics* that exist, creating none (K33).

    Raises KafkaError when the broker does not answer, or does not let us see a topic.
    """
    return await _described(connection_of(client), topics)


async def tracked(client: RawConsumer, topics: Sequence[str]) -> None:
    """Return once *client* knows the partitions of *topics*, which exist.

    A member that joins before it knows them and deals out the partitions deals out none, and nobody
    reads them until the next time that metadata changes.
    """
    connection = connection_of(client)
    await connection.set_topics(topics)
    while not all(client.partitions_for_topic(topic) for topic in topics):
        await asyncio.sleep(METADATA_PAUSE)
        await connection.force_metadata_update()


def refresh(client: RawConsumer) -> None:
    """Ask for metadata now: what has changed since the last time makes the group join anew."""
    connection_of(client).force_metadata_update()


async def described_by(
    admin: AIOKafkaAdminClient, topics: Sequence[str], *, led: bool = False
) -> Mapping[str, int]:
    """Count as `described` does; with *led* leave out a topic while a partition has no leader."""
    return await _described(connection_of(admin), topics, led=led)


async def controlled(admin: AIOKafkaAdminClient) -> None:
    """Return once *admin* knows anew who leads the cluster, who alone creates topics.

    While nobody does, aiokafka ends with an AttributeError of its own.
    """
    connection = connection_of(admin)
    await connection.force_metadata_update()
    while connection.cluster.controller is None:
        await asyncio.sleep(METADATA_PAUSE)
        await connection.force_metadata_update()


async def _described(
    connection: Any,  # noqa: ANN401 - private to aiokafka
    topics: Sequence[str],
    *,
    led: bool = False,
) -> Mapping[str, int]:
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    answer: Any = await connection.send(connection.get_random_node(), request)
    found: dict[str, int] = {}
    for code, name, *_, partitions in cast("Sequence[Any]", answer.topics):
        if code == 0:
            if not led or all(leader >= 0 for _, _, leader, *_ in partitions):
                found[str(name)] = len(partitions)
        elif code not in NOT_THERE:
            raise refusal(code, str(name))
    return found


def spoilt_record(error: BaseException) -> bool:
    """Say whether *error* came from unpacking records, and not from the connection or the group.

    The class does not tell: a wrong checksum, a broken compression and a header name that is no
    UTF-8 raise what their libraries raise.  The frame it came from does.
    """
    return any(
        frame.f_code.co_name == "_unpack_records" for frame, _ in walk_tb(error.__traceback__)
    )


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
