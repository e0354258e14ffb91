"""docker-compose.yml and what it mounts agree with the code, and its Mosquitto keeps its word."""

import importlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from choreo.service import Service
from choreo.settings import Settings
from tests.conftest import StartMosquitto
from tests.local import MosquittoOptions, wait_until
from tests.local.apicurio_program import APICURIO_VERSION
from tests.local.kafka_jars import KAFKA_VERSION
from tests.local.mosquitto import SHIPPED_CONFIG
from tests.local.mqtt_client import Login, connected
from tests.local.process import LOOPBACK

ROOT = Path(__file__).parents[1]
EXAMPLE = ("order", "payment", "inventory", "shipping", "notification")
PARTS = ("kafka", "mosquitto", "postgres", "schema-registry", "jaeger")
PINNED = re.compile(r"[\w./-]+:\d+\.\d+[\w.-]*")
READER, WRITER = Login(client_id="reader"), Login(client_id="writer")
SLOW_READER = Login(client_id="slow", receive_maximum=20)
MANY = [b"%d" % number for number in range(2_500)]
FEW = [b"payload-%d" % number for number in range(50)]

Container = Mapping[str, Any]


@pytest.fixture(name="compose", scope="module")
def _compose() -> Mapping[str, Any]:
    compose: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return compose


@pytest.fixture(name="containers")
def _containers(compose: Mapping[str, Any]) -> Mapping[str, Container]:
    containers: Mapping[str, Container] = compose["services"]
    return containers


def test_it_holds_the_parts_and_the_example(containers: Mapping[str, Container]) -> None:
    assert set(containers) == {*PARTS, *EXAMPLE}


def test_every_image_is_pinned(containers: Mapping[str, Container]) -> None:
    base = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    images = [*base, *(container["image"] for container in containers.values())]

    assert [image for image in images if not PINNED.fullmatch(image)] == []


def test_everybody_is_checked_and_awaited_healthy(containers: Mapping[str, Container]) -> None:
    for name, container in containers.items():
        assert container["healthcheck"]["test"][0] == "CMD", name
        for needed, how in container.get("depends_on", {}).items():
            assert needed in containers
            assert how == {"condition": "service_healthy"}


def test_nothing_is_published_beyond_this_machine(containers: Mapping[str, Container]) -> None:
    ports = [port for container in containers.values() for port in container.get("ports", [])]

    assert [port for port in ports if not port.startswith(f"{LOOPBACK}:")] == []
    assert len(ports) == len(set(ports))


def test_volumes_are_named_and_mounted_files_are_there(compose: Mapping[str, Any]) -> None:
    sources = {
        volume.split(":")[0]
        for container in compose["services"].values()
        for volume in container.get("volumes", [])
    }

    assert {source for source in sources if not source.startswith("./")} == set(compose["volumes"])
    assert all((ROOT / source).is_file() for source in sources if source.startswith("./"))


@pytest.mark.parametrize("name", EXAMPLE)
def test_a_service_is_run_by_a_command_that_can_be_imported(
    containers: Mapping[str, Container], name: str
) -> None:
    command, target = containers[name]["command"]
    module, attribute = target.split(":")

    service = getattr(importlib.import_module(module), attribute)

    assert command == "run"
    assert isinstance(service, Service)
    assert service.name == name


@pytest.mark.parametrize("name", EXAMPLE)
def test_a_service_is_told_nothing_it_does_not_know(
    containers: Mapping[str, Container], name: str
) -> None:
    environment = containers[name]["environment"]
    ours = {variable for variable in environment if variable.startswith("CHOREO_")}

    assert {name.removeprefix("CHOREO_").lower() for name in ours} <= set(Settings.model_fields)
    assert environment.keys() - ours == {"OTEL_EXPORTER_OTLP_ENDPOINT"}


def test_the_broker_url_leads_to_a_listener_of_a_container(
    containers: Mapping[str, Container],
) -> None:
    url = urlsplit(str(containers["order"]["environment"]["CHOREO_BROKER"]))
    kafka = containers["kafka"]["environment"]

    assert url.scheme in {point.name for point in entry_points(group="choreo.brokers")}
    assert f"PLAINTEXT://{url.netloc}" in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"PLAINTEXT://:{url.port}" in kafka["KAFKA_LISTENERS"].split(",")


def test_kafka_is_the_version_the_tests_run_against(containers: Mapping[str, Container]) -> None:
    assert containers["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_the_registry_is_the_version_the_tests_run_against(
    containers: Mapping[str, Container],
) -> None:
    image = containers["schema-registry"]["image"]

    assert image == f"apicurio/apicurio-registry:{APICURIO_VERSION}"


def test_the_image_copies_what_is_there() -> None:
    ignored = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    for source in _copied((ROOT / "Dockerfile").read_text()):
        assert (ROOT / source).exists(), source
        assert source in ignored, f".dockerignore hides {source}"


def test_a_service_is_healthy_while_it_is_connected_to_its_broker() -> None:
    with socket.create_server((LOOPBACK, 0)) as broker:
        port = broker.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            assert _health(f"kafka://kafka:{port}") == 0
    assert _health("kafka://kafka:1") == 1


# ── the shipped Mosquitto configuration, on a real Mosquitto ──────────────────────────────────


def test_a_slow_consumer_loses_nothing(mqtt_broker: StartMosquitto) -> None:
    """With Mosquitto's own defaults 1,020 of these arrive, and every PUBACK says Success."""
    broker = mqtt_broker(MosquittoOptions())

    with connected(broker.port, SLOW_READER) as reader:
        reader.subscribe("orders")
        reader.reading.clear()
        publish(broker.port, MANY)
        reader.reading.set()

        assert reader.wait_for(len(MANY)) == MANY


def test_an_absent_consumer_loses_nothing(mqtt_broker: StartMosquitto) -> None:
    """With Mosquitto's own defaults 1,000 of these arrive."""
    broker = mqtt_broker(MosquittoOptions())
    leave_a_session(broker.port)

    publish(broker.port, MANY)

    assert read(broker.port, len(MANY)) == MANY


def test_without_the_limits_of_our_own_an_absent_consumer_does_lose(
    mqtt_broker: StartMosquitto,
) -> None:
    defaults = {"max_queued_messages": None, "max_queued_bytes": None}
    broker = mqtt_broker(MosquittoOptions(settings=defaults))
    leave_a_session(broker.port)

    publish(broker.port, [*MANY, b"last"])

    with connected(broker.port, READER) as reader:
        reader.subscribe("end")
        reader.publish("end", b"end")
        wait_until(lambda: any(each.payload == b"end" for each in reader.received), "the end")
        assert len(reader.received) < len(MANY)


def test_a_killed_broker_keeps_what_it_had_saved(mqtt_broker: StartMosquitto) -> None:
    broker = mqtt_broker(MosquittoOptions())
    leave_a_session(broker.port)
    publish(broker.port, FEW)
    wait_until(lambda: broker.has_saved(FEW[-1]), "the state was saved", within=5.0)

    broker.kill()
    broker.start()

    assert read(broker.port, len(FEW)) == FEW


def test_a_stopped_broker_keeps_everything(mqtt_broker: StartMosquitto) -> None:
    broker = mqtt_broker(MosquittoOptions())
    leave_a_session(broker.port)
    publish(broker.port, FEW)

    broker.terminate()
    broker.start()

    assert read(broker.port, len(FEW)) == FEW


def test_large_events_pass_and_the_limit_is_told(mqtt_broker: StartMosquitto) -> None:
    broker = mqtt_broker(MosquittoOptions())
    event = bytes(3 * 1024 * 1024)

    with connected(broker.port, READER) as reader:
        reader.subscribe("orders")
        reader.publish("orders", event)

        assert reader.limits["MaximumPacketSize"] == 16 * 1024 * 1024
        assert reader.wait_for(1) == [event]


def test_the_tested_configuration_is_the_one_that_is_mounted(
    containers: Mapping[str, Container],
) -> None:
    source, target, _ = containers["mosquitto"]["volumes"][0].split(":")

    assert ROOT / source == SHIPPED_CONFIG
    assert target == "/mosquitto/config/mosquitto.conf"


# ── steps ─────────────────────────────────────────────────────────────────────────────────────


def leave_a_session(port: int) -> None:
    with connected(port, READER) as reader:
        reader.subscribe("orders")


def publish(port: int, payloads: Sequence[bytes]) -> None:
    with connected(port, WRITER) as writer:
        assert {str(code) for code in writer.publish("orders", *payloads)} == {"Success"}


def read(port: int, count: int) -> list[bytes]:
    with connected(port, READER) as reader:
        assert reader.session_present
        return reader.wait_for(count)


def _health(url: str) -> int:
    """Return the exit code of the containers' health check."""
    check = [sys.executable, str(ROOT / "docker" / "connected.py")]
    return subprocess.run(check, check=False, env={"CHOREO_BROKER": url}, timeout=10.0).returncode


def _copied(dockerfile: str) -> Iterator[str]:
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            yield from line.split()[1:-1]
