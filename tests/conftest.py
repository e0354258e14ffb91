"""The brokers of a test run: given, started here, or loudly missing.

A part that is absent skips its tests on a laptop and fails them with CI=true.
"""

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar, cast

import pytest

from choreo.testing.faults import small_disk
from tests.local import (
    AbsentError,
    Apicurio,
    KafkaCluster,
    KafkaPart,
    MockCluster,
    Mosquitto,
    MosquittoOptions,
    MqttPart,
    Parts,
    Postgres,
    PostgresPart,
    RegistryPart,
    StartError,
    asyncapi_schema,
)
from tests.local.warden import guarded
from tests.patience import patient

T = TypeVar("T")

REAL_BROKER_TIMEOUT = 60.0
NOT_HERE = "not here: "
MARKERS = {
    "kafka": {"kafka", "real_kafka", "secured_kafka", "kafka_cluster"},
    "mqtt": {"mosquitto", "mqtt_broker"},
    "postgres": {"postgres", "postgres_server"},
    "registry": {"schema_registry", "own_schema_registry"},
}
BY_NAME = "schema_registry"
"""A fixture that parameters of other fixtures name: some tests run with it and without."""
PARTS = pytest.StashKey[Parts]()
WHY_MOCK = pytest.StashKey[str | None]()
"""Why a mock stood in for Kafka, as far as the processes that ran the tests have told."""


class StartKafka(Protocol):
    """Start a cluster of the test's own."""

    def __call__(
        self,
        *,
        nodes: int = 1,
        secured: bool = False,
        heap: str = "384m",
        properties: dict[str, str] | None = None,
        far: int | None = None,
    ) -> KafkaCluster: ...


class Worker(Protocol):
    """A process that runs a share of the tests, as whoever shares them out knows it."""

    config: pytest.Config
    workeroutput: dict[str, str | None]


OwnDisk = Callable[[int], AbstractContextManager[Path]]
StartMosquitto = Callable[[MosquittoOptions], Mosquitto]
StartPostgres = Callable[[dict[str, str]], Postgres]


# ── parts shared by the whole run ─────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> KafkaPart:
    """Return a Kafka: real where there is one, else librdkafka's mock cluster."""
    part = _obtain(_parts(pytestconfig).kafka)
    if not part.real and _in_ci():
        _missing(_parts(pytestconfig).why_mock)
    return part


@pytest.fixture(scope="session")
def real_kafka(pytestconfig: pytest.Config, kafka: KafkaPart) -> KafkaPart:
    """Return a Kafka that is no mock."""
    if not kafka.real:
        _missing(_parts(pytestconfig).why_mock)
    return kafka


@pytest.fixture(scope="session")
def secured_kafka(pytestconfig: pytest.Config) -> KafkaCluster:
    """Return a cluster with TLS, SASL and access rules: its `security` and `bootstrap_of`."""
    return _obtain(_parts(pytestconfig).secured_kafka)


@pytest.fixture(scope="session")
def mosquitto(pytestconfig: pytest.Config) -> MqttPart:
    """Return the MQTT broker of this run, on the shipped configuration."""
    return _obtain(_parts(pytestconfig).mqtt)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> PostgresPart:
    """Return the PostgreSQL of this run."""
    return _obtain(_parts(pytestconfig).postgres)


@pytest.fixture(scope="session")
def schema_registry(pytestconfig: pytest.Config) -> RegistryPart:
    """Return the schema registry of this run, which is not of our making."""
    return _obtain(_parts(pytestconfig).schema_registry)


@pytest.fixture(scope="session")
def asyncapi_31() -> dict[str, object]:
    """Return the official JSON schema of AsyncAPI 3.1."""
    return _obtain(asyncapi_schema)


# ── parts of one test's own, to be killed, frozen and configured at will ─────────────────────


@pytest.fixture
def kafka_cluster() -> Iterator[StartKafka]:
    """Return a function that starts a Kafka for this test alone."""
    with ExitStack() as running:

        def start(
            *,
            nodes: int = 1,
            secured: bool = False,
            heap: str = "384m",
            properties: dict[str, str] | None = None,
            far: int | None = None,
        ) -> KafkaCluster:
            cluster = KafkaCluster.running(
                nodes=nodes, secured=secured, heap=heap, properties=properties, far=far
            )
            return _obtain(lambda: running.enter_context(cluster))

        yield start


@pytest.fixture
def mqtt_broker() -> Iterator[StartMosquitto]:
    """Return a function that starts a Mosquitto for this test alone."""
    with ExitStack() as running:
        yield lambda options: _obtain(lambda: running.enter_context(Mosquitto.running(options)))


@pytest.fixture
def postgres_server() -> Iterator[StartPostgres]:
    """Return a function that starts a PostgreSQL for this test alone."""
    with ExitStack() as running:
        yield lambda settings: _obtain(lambda: running.enter_context(Postgres.running(settings)))


@pytest.fixture
def own_schema_registry() -> Iterator[Apicurio]:
    """Return a schema registry of this test alone."""
    with ExitStack() as running:
        yield _obtain(lambda: running.enter_context(Apicurio.running()))


@pytest.fixture
def mock_cluster() -> Iterator[Callable[[int], MockCluster]]:
    """Return a function that starts that many mock Kafka brokers for this test alone."""
    with ExitStack() as running:
        yield lambda brokers: _obtain(
            lambda: running.enter_context(MockCluster.running(brokers=brokers))
        )


@pytest.fixture
def own_disk(tmp_path: Path) -> OwnDisk:
    """Return a function that mounts a disk of so many megabytes for this test alone."""

    @contextmanager
    def mounted(megabytes: int) -> Generator[Path]:
        with ExitStack() as mounting:
            try:
                folder = mounting.enter_context(small_disk(tmp_path / "disk", megabytes))
            except OSError as error:
                _missing(f"no disk of one's own: {error}")
            yield folder

    return mounted


@pytest.fixture
def fresh_name() -> Callable[[str], str]:
    """Return a function that makes a name for a topic, group or client nobody else uses."""
    return lambda stem: f"{stem}-{uuid.uuid4().hex[:10]}"


# ── policy ────────────────────────────────────────────────────────────────────────────────────


def pytest_configure(config: pytest.Config) -> None:
    guarded()
    config.stash[PARTS] = Parts()
    config.stash[WHY_MOCK] = None


def pytest_unconfigure(config: pytest.Config) -> None:
    _parts(config).close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the parts they use, and give those the time real parts take."""
    for item in items:
        used = _fixtures_of(item)
        touched = [marker for marker, fixtures in MARKERS.items() if used & fixtures]
        for marker in touched:
            item.add_marker(marker)
        if touched and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(REAL_BROKER_TIMEOUT))
        limit = item.get_closest_marker("timeout")
        seconds = float(limit.args[0] if limit else item.config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(patient(seconds)), append=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Start the shared parts a test uses before its clock starts; they are bounded themselves."""
    parts = _parts(item.config)
    used = _fixtures_of(item)
    for fixture, start in (
        ("kafka", parts.kafka),
        ("secured_kafka", parts.secured_kafka),
        ("mosquitto", parts.mqtt),
        ("postgres", parts.postgres),
        ("schema_registry", parts.schema_registry),
    ):
        if fixture in used:
            try:
                start()
            except (AbsentError, StartError):
                continue  # remembered, and raised again where the fixture is set up
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Worker) -> None:
    """Hear from a process that ran a share of the tests what stood in for Kafka there."""
    why = node.workeroutput.get("why_mock")
    node.config.stash[WHY_MOCK] = node.config.stash[WHY_MOCK] or why


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that shares the tests out, if there is one."""
    told: dict[str, str | None] | None = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["why_mock"] = _parts(session.config).why_mock


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name loudly what this run could not show."""
    skipped: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        _, found, reason = _reason(report).partition(NOT_HERE)
        if found:
            skipped.setdefault(reason, []).append(report.nodeid)
    why_mock = _parts(config).why_mock or config.stash[WHY_MOCK]
    if not skipped and why_mock is None:
        return
    terminalreporter.section("NOT SHOWN BY THIS RUN", sep="!", red=True, bold=True)
    if why_mock is not None:
        terminalreporter.line(f"Kafka tests ran against librdkafka's mock cluster: {why_mock}")
    for reason, tests in skipped.items():
        terminalreporter.line(f"{len(tests)} not run, {reason}:", red=True)
        for test in tests:
            terminalreporter.line(f"  {test}")


def _reason(skipped: pytest.TestReport) -> str:
    """Return why a test was skipped, which pytest keeps behind the file and the line."""
    where_and_why = cast("object", skipped.longrepr)
    return str(cast("tuple[str, int, str]", where_and_why)[2])


def _fixtures_of(item: pytest.Item) -> set[str]:
    if not isinstance(item, pytest.Function):
        return set()
    callspec = getattr(item, "callspec", None)
    named = () if callspec is None else cast("dict[str, object]", callspec.params).values()
    return {*item.fixturenames, *((BY_NAME,) if BY_NAME in named else ())}


def _parts(config: pytest.Config) -> Parts:
    return config.stash[PARTS]


def _obtain(start: Callable[[], T]) -> T:
    try:
        return start()
    except AbsentError as absent:
        _missing(str(absent))


def _missing(reason: str | None) -> NoReturn:
    if _in_ci():
        pytest.fail(f"{NOT_HERE}{reason}", pytrace=False)
    pytest.skip(f"{NOT_HERE}{reason}")


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"
