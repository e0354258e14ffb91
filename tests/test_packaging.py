"""What is installed is what the tree says: adapters by scheme, types, pins, and nothing else."""

import os
import re
import resource
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "choreo",
    "choreo_kafka",
    "choreo_memory",
    "choreo_mqtt",
    "choreo_registry",
    "choreo_sql",
}
SCHEMES = {
    "memory": "MemoryBroker",
    "kafka": "KafkaBroker",
    "kafka+ssl": "KafkaBroker",
    "mqtt": "MqttBroker",
    "mqtts": "MqttBroker",
}
STORES = {"memory": "MemoryStore", "sqlite": "SqlStore", "postgresql": "SqlStore"}
PIN = re.compile(r"(?P<name>[\w.-]+)==[\w.]+")
NAME = re.compile(r"[\w.-]+")
IMPORT_BUDGET = 0.2
FOUNDATIONS = "import asyncio, pydantic\nclass Model(pydantic.BaseModel): ..."
FOUNDATIONS_IDLE = 0.13


def test_every_scheme_names_a_broker_that_can_be_loaded() -> None:
    found = {point.name: point.load() for point in entry_points(group="choreo.brokers")}

    assert {scheme: broker.__name__ for scheme, broker in found.items()} == SCHEMES


def test_every_scheme_names_a_store_that_can_be_loaded() -> None:
    found = {point.name: point.load() for point in entry_points(group="choreo.stores")}

    assert {scheme: store.__name__ for scheme, store in found.items()} == STORES


@pytest.mark.timeout(60)
def test_the_wheel_holds_the_typed_packages_and_nothing_else(tmp_path: Path) -> None:
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT))

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_importing_choreo_loads_no_client_library() -> None:
    loaded = python("-c", "import sys, choreo; print(*sys.modules)").split()

    unwanted = {"aiokafka", "paho", "sqlalchemy", "typer", "rich", "opentelemetry.sdk"}
    assert unwanted.isdisjoint(loaded)


@pytest.mark.alone
@pytest.mark.timeout(60)
def test_choreo_is_imported_in_under_a_fifth_of_a_second(tmp_path: Path) -> None:
    """A busy machine gets more time, in proportion to what its foundations alone take it.

    As with what is installed, modules are compiled once, whatever the environment says: importing
    from source takes half as long again, and is not what a service does.
    """
    compiled = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    compiled.pop("PYTHONDONTWRITEBYTECODE", None)
    for statement in (FOUNDATIONS, "from choreo import *"):
        processor_time(statement, compiled)

    ours, foundations = zip(
        *(
            (
                processor_time("from choreo import *", compiled),
                processor_time(FOUNDATIONS, compiled),
            )
            for _ in range(8)
        ),
        strict=True,
    )

    slowness = max(1.0, min(foundations) / FOUNDATIONS_IDLE)
    assert min(ours) < IMPORT_BUDGET * slowness


@pytest.mark.parametrize("pins", ["dev.txt", "run.txt"])
def test_pins_are_exact_and_name_no_place_to_fetch_from(pins: str) -> None:
    lines = requirement_lines(pins)

    assert [line for line in lines if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("group", ["dev", "bench"])
def test_everything_asked_for_is_pinned_and_run_agrees_with_each_group(group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = {normal(each) for each in asked_for(project, group)}

    pinned, production = requirement_lines(f"{group}.txt"), requirement_lines("run.txt")

    assert asked - {normal(line) for line in pinned} == {"choreo"}
    assert set(production) <= set(pinned)


def asked_for(project: dict[str, Any], group: str) -> list[str]:
    metadata = project["project"]
    wanted = [*metadata["optional-dependencies"].values(), project["dependency-groups"][group]]
    return [*metadata["dependencies"], *(each for some in wanted for each in some)]


def requirement_lines(pins: str) -> list[str]:
    lines = (ROOT / "requirements" / pins).read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def normal(requirement: str) -> str:
    name = NAME.match(requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def processor_time(statement: str, environment: dict[str, str]) -> float:
    """Return what the statement costs a fresh interpreter, however busy the machine is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    python("-c", statement, environment=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def python(*arguments: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60.0,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
