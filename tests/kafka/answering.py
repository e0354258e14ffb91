"""A broker any of whose answers may be an error: librdkafka's mock cluster behind a relay.

The mock refuses requests on demand, but neither Metadata nor ApiVersions, and it knows no
CreateTopics and no DescribeConfigs at all: those the relay refuses, or answers, itself.  An error
counts as given only once it has been seen in an answer, so that none is taken for one that bit.
"""

import asyncio
import importlib
import inspect
import pkgutil
import struct
from asyncio import StreamReader, StreamWriter
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from typing import Any, Self, cast

import aiokafka.protocol
from aiokafka.protocol.api import RequestHeader_v1, RequestStruct, Response
from aiokafka.protocol.struct import Struct

from tests.local import MockCluster

NAMES: Mapping[int, str] = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    11: "JoinGroup",
    12: "Heartbeat",
    13: "LeaveGroup",
    14: "SyncGroup",
    18: "ApiVersions",
    19: "CreateTopics",
    22: "InitProducerId",
    32: "DescribeConfigs",
}
"""Every request that the adapter's clients send to a broker without a login."""
FETCH, METADATA, COORDINATOR, VERSIONS, CREATE, DESCRIBE = 1, 3, 10, 18, 19, 32
OURS = {CREATE: 1, DESCRIBE: 0}
"""What the relay answers itself, and the newest version of it."""
ALREADY_EXISTS = 36
STORED = (0, 46)
"""DUPLICATE_SEQUENCE_NUMBER says that a batch is stored already: then it has to be."""
HOST = "127.0.0.1"


class Answering:
    """The relay; clients find no way around it, as every answer names it as the broker."""

    def __init__(self, cluster: MockCluster) -> None:
        self.cluster = cluster
        self.given: Counter[int] = Counter()
        """How many errors each kind of request was answered with."""
        self.leaderless = 0
        """How often brokers shall yet tell that nobody leads the cluster."""
        self._topics: set[str] = set()
        self._pending: dict[int, deque[int]] = defaultdict(deque)
        self._port = 0
        self._talks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncGenerator[Self]:
        """Start a mock cluster of one broker, and the relay in front of it."""
        with MockCluster.running(brokers=1) as cluster:
            self = cls(cluster)
            server = await asyncio.start_server(self._met, HOST, 0)
            self._port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                server.close()
                for talk in self._talks:
                    talk.cancel()
                await asyncio.gather(*self._talks, return_exceptions=True)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._port}"

    def push(self, api: int, code: int) -> None:
        """Answer the next request of a kind with an error."""
        self._pending[api].append(code)

    def _met(self, reader: StreamReader, writer: StreamWriter) -> None:
        talk = asyncio.create_task(self._serve(reader, writer), name="relay")
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        host, _, port = self.cluster.bootstrap.partition(":")
        there = await asyncio.open_connection(host, int(port))
        conversation = Conversation(self, writer, there[1])
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_each(reader, there[1], conversation.asked))
                both.create_task(_each(there[0], writer, conversation.answered))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # one of the two has hung up, and so does the other now
        finally:
            writer.close()
            there[1].close()

    def create(self, name: str) -> None:
        """Create a topic, once."""
        if name not in self._topics:
            self._topics.add(name)
            self.cluster.create_topic(name, partitions=2)

    def waits(self, apis: Iterable[int]) -> bool:
        """Say whether an error of one of these kinds is still to be given."""
        return any(self._pending[api] for api in apis)

    def next_error(self, api: int) -> int:
        """Tell what to answer a request with; 0 for no error."""
        return self._pending[api].popleft() if self._pending[api] else 0

    def here(self, answer: Any) -> None:  # noqa: ANN401 -- one of aiokafka's classes of answers
        """Name the relay as the broker."""
        if hasattr(answer, "brokers"):
            answer.brokers = [
                (broker[0], HOST, self._port, *broker[3:]) for broker in answer.brokers
            ]
            answer.controller_id = -1 if self.leaderless else answer.brokers[0][0]
            self.leaderless = max(0, self.leaderless - 1)
        if getattr(answer, "port", -1) > 0:
            answer.host, answer.port = HOST, self._port


class Conversation:
    """One connection of a client, and the one to the mock behind it."""

    def __init__(self, relay: Answering, client: StreamWriter, mock: StreamWriter) -> None:
        self._relay = relay
        self._client = client
        self._mock = mock
        self._open: dict[int, tuple[int, int, int]] = {}

    def asked(self, frame: bytes) -> None:
        """Pass on a request, and have it refused if its turn has come."""
        api, version, correlation = struct.unpack_from(">hhi", frame)
        code = self._relay.next_error(api)
        if api in OURS:
            self._send(correlation, self._own_answer(api, version, frame, code))
            self._relay.given[api] += code != 0
            return
        if code and not self._rewritten(api, code):
            self._relay.cluster.push_request_errors(api, code)
        self._open[correlation] = (api, version, code)
        self._mock.write(_framed(frame))

    def _rewritten(self, api: int, code: int) -> bool:
        return api in {METADATA, VERSIONS} or (api, code) == STORED

    def answered(self, frame: bytes) -> None:
        """Pass on an answer, as an error if that is what it is to be."""
        (correlation,) = struct.unpack_from(">i", frame)
        api, version, code = self._open.pop(correlation)
        kind = ANSWERS.get((api, version))
        if kind is None or (api == FETCH and not code):
            self._client.write(_framed(frame))
            return
        answer: Any = kind.decode(frame[4:])
        self._relay.here(answer)
        if api == VERSIONS:
            more = [(own, 0, newest) for own, newest in OURS.items()]
            answer.api_versions = [] if code else [*answer.api_versions, *more]
            answer.error_code = code
        if api == METADATA and code and not answer.topics:
            self._relay.push(api, code)  # it was asked for brokers only, of which none is refused
        elif api == METADATA and code:
            empty = list[object]()
            answer.topics = [(code, *topic[1:-1], empty) for topic in answer.topics]
        if (api, code) == STORED:
            answer.topics = _all_with(code, answer.topics)
        self._relay.given[api] += code != 0 and code in codes_of(kind, answer)
        self._send(correlation, answer.encode())

    def _send(self, correlation: int, body: bytes) -> None:
        self._client.write(_framed(struct.pack(">i", correlation) + body))

    def _own_answer(self, api: int, version: int, frame: bytes, code: int) -> bytes:
        data = BytesIO(frame)
        RequestHeader_v1.SCHEMA.decode(data)
        request: Any = REQUESTS[api, version].decode(data)
        kind: Any = ANSWERS[api, version]
        if api == DESCRIBE:
            limit = [("max.message.bytes", "1048588", False, False, False)]
            told = [(code, None, *resource[:2], limit) for resource in request.resources]
            return cast("bytes", kind(throttle_time_ms=0, resources=told).encode())
        names: list[str] = [topic[0] for topic in request.create_topic_requests]
        for name in names if code in {0, ALREADY_EXISTS} else ():
            self._relay.create(name)
        return cast("bytes", kind(topic_errors=[(name, code, None) for name in names]).encode())


async def _each(reader: StreamReader, writer: StreamWriter, handle: Any) -> None:  # noqa: ANN401 -- of bytes
    """Hand over frame by frame; raise IncompleteReadError at the end."""
    while True:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        handle(await reader.readexactly(size))
        await writer.drain()


def _framed(frame: bytes) -> bytes:
    return struct.pack(">i", len(frame)) + frame


def _all_with(code: int, topics: Any) -> list[tuple[object, list[tuple[object, ...]]]]:  # noqa: ANN401 -- aiokafka's tuples
    return [
        (topic, [(number, code, *rest) for number, _, *rest in partitions])
        for topic, partitions in topics
    ]


def codes_of(kind: type[Struct], answer: object) -> set[int]:
    """Find every error code in an answer, however deep."""
    return set(_codes(kind.SCHEMA, [getattr(answer, name) for name in kind.SCHEMA.names]))


def _codes(schema: Any, values: Any) -> Iterator[int]:  # noqa: ANN401 -- aiokafka's own description
    for name, field, value in zip(schema.names, schema.fields, values, strict=True):
        if name == "error_code":
            yield value
        inner = getattr(field, "array_of", None)
        if hasattr(inner, "names"):
            for one in value or ():
                yield from _codes(inner, one)


def _classes(kind: type) -> Mapping[tuple[int, int], type[Struct]]:
    """Find aiokafka's own classes, by the number of the request and its version."""
    found: dict[tuple[int, int], type[Struct]] = {}
    for module in pkgutil.iter_modules(aiokafka.protocol.__path__):
        members = vars(importlib.import_module(f"aiokafka.protocol.{module.name}"))
        for one in members.values():
            if inspect.isclass(one) and issubclass(one, kind):
                with suppress(AttributeError, TypeError):
                    found[one.API_KEY, one.API_VERSION] = cast("type[Struct]", one)  # type: ignore[attr-defined]
    return found


ANSWERS, REQUESTS = _classes(Response), _classes(RequestStruct)
