"""librdkafka's in-process mock of a Kafka cluster, for machines without Java.

The confluent-kafka wheel carries librdkafka with its mock API exported but not wrapped, so it is
called through ctypes here. It keeps everything in memory, speaks the real protocol to any client
on loopback, and can be told to answer with an error, later, or not at all: what it shows is how a
*client* behaves. It says nothing about durability, and knows no TLS, no SASL and no admin requests;
a follower that synchronises after its group's leader is refused: groups of several need a Kafka.
"""

import ctypes
import importlib.metadata
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Self

from tests.local.process import AbsentError

PRODUCER = 0
ERROR_TEXT_SIZE = 512

_OBJECT, _TEXT, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
_SHORT, _INT, _INT32 = ctypes.c_int16, ctypes.c_int, ctypes.c_int32
_SIGNATURES: Mapping[str, tuple[type | None, list[type]]] = {
    "conf_new": (_OBJECT, []),
    "conf_set": (_INT, [_OBJECT, _TEXT, _TEXT, _TEXT, _SIZE]),
    "new": (_OBJECT, [_INT, _OBJECT, _TEXT, _SIZE]),
    "destroy": (None, [_OBJECT]),
    "mock_cluster_new": (_OBJECT, [_OBJECT, _INT]),
    "mock_cluster_destroy": (None, [_OBJECT]),
    "mock_cluster_bootstraps": (_TEXT, [_OBJECT]),
    "mock_group_initial_rebalance_delay_ms": (None, [_OBJECT, _INT32]),
    "mock_topic_create": (_INT, [_OBJECT, _TEXT, _INT, _INT]),
    "mock_push_request_errors_array": (None, [_OBJECT, _SHORT, _SIZE, _OBJECT]),
    "mock_clear_request_errors": (None, [_OBJECT, _SHORT]),
    "mock_broker_set_down": (_INT, [_OBJECT, _INT32]),
    "mock_broker_set_up": (_INT, [_OBJECT, _INT32]),
    "mock_broker_set_rtt": (_INT, [_OBJECT, _INT32, _INT]),
    "mock_partition_set_leader": (_INT, [_OBJECT, _TEXT, _INT32, _INT32]),
    "mock_coordinator_set": (_INT, [_OBJECT, _TEXT, _TEXT, _INT32]),
}


class MockCluster:
    """N brokers, numbered from 1, that do as they are told."""

    def __init__(self, library: ctypes.CDLL, cluster: int) -> None:
        self._library = library
        self._cluster = cluster

    @classmethod
    @contextmanager
    def running(cls, *, brokers: int = 1) -> Generator[Self]:
        library = _library()
        reason = ctypes.create_string_buffer(ERROR_TEXT_SIZE)
        config = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(config, b"log_level", b"0", reason, ERROR_TEXT_SIZE)
        client = library.rd_kafka_new(PRODUCER, config, reason, ERROR_TEXT_SIZE)
        assert client, reason.value
        cluster = library.rd_kafka_mock_cluster_new(client, brokers)
        assert cluster, "librdkafka could not start its mock cluster"
        try:
            library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
            yield cls(library, cluster)
        finally:
            library.rd_kafka_mock_cluster_destroy(cluster)
            library.rd_kafka_destroy(client)

    @property
    def bootstrap(self) -> str:
        addresses: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return addresses.decode()

    def create_topic(self, name: str, *, partitions: int = 8, replicas: int = 1) -> str:
        self._tell("topic_create", name.encode(), partitions, replicas)
        return name

    def push_request_errors(self, api_key: int, *codes: int) -> None:
        """Answer the next requests of this kind, on any broker, with these error codes in turn."""
        values = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, api_key, len(codes), values
        )

    def clear_request_errors(self, api_key: int) -> None:
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, api_key)

    def broker_down(self, broker: int) -> None:
        """Close the broker's connections and refuse new ones."""
        self._tell("broker_set_down", broker)

    def broker_up(self, broker: int) -> None:
        self._tell("broker_set_up", broker)

    def set_round_trip(self, broker: int, delay: timedelta) -> None:
        """Answer everything this much later."""
        self._tell("broker_set_rtt", broker, int(delay.total_seconds() * 1000))

    def set_leader(self, topic: str, partition: int, broker: int) -> None:
        self._tell("partition_set_leader", topic.encode(), partition, broker)

    def set_coordinator(self, group: str, broker: int) -> None:
        """Move the group to another broker."""
        self._tell("coordinator_set", b"group", group.encode(), broker)

    def _tell(self, what: str, *arguments: object) -> None:
        code = getattr(self._library, f"rd_kafka_mock_{what}")(self._cluster, *arguments)
        assert code == 0, f"{what}{arguments}: librdkafka error {code}"


def _library() -> ctypes.CDLL:
    """Load the very library the wheel's extension uses, and tell ctypes its signatures."""
    library = ctypes.CDLL(str(_shared_object()))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, f"rd_kafka_{name}")
        function.restype = result
        function.argtypes = arguments
    return library


def _shared_object() -> Path:
    try:
        importlib.import_module("confluent_kafka")  # loads what the library itself depends on
        wheel = importlib.metadata.files("confluent-kafka") or []
    except ImportError:
        wheel = []
    for file in wheel:
        if file.name.startswith("librdkafka"):
            return Path(str(file.locate()))
    raise AbsentError("no mock Kafka: no confluent-kafka wheel with librdkafka inside")
