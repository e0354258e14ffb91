"""A machine without Java shows what it can, says loudly what it cannot, and never passes CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUND_TRIP = "tests/local/test_kafka.py::test_what_is_produced_is_consumed_in_a_group"
NEEDS_REAL = "tests/local/test_kafka.py::test_a_frozen_node_is_silent_until_it_is_thawed"

pytestmark = pytest.mark.timeout(180)


def test_on_a_laptop_the_mock_cluster_stands_in_and_the_rest_is_named_as_not_shown() -> None:
    run = pytest_without_java(ROUND_TRIP, NEEDS_REAL, ci="")

    assert run.returncode == 0, run.stdout
    assert "1 passed, 1 skipped" in run.stdout
    _, _, summary = run.stdout.partition("NOT SHOWN BY THIS RUN")
    assert "librdkafka's mock cluster: no Kafka: no 'java' on the PATH" in summary
    assert NEEDS_REAL in summary


@pytest.mark.parametrize("test", [ROUND_TRIP, NEEDS_REAL])
def test_in_ci_a_missing_broker_is_a_failure(test: str) -> None:
    run = pytest_without_java(test, ci="true")

    assert run.returncode == 1, run.stdout
    assert "not here: no Kafka: no 'java' on the PATH" in run.stdout


def pytest_without_java(*tests: str, ci: str) -> subprocess.CompletedProcess[str]:
    given = {"CI", "PATH", "PYTEST_ADDOPTS", "CHOREO_TEST_KAFKA"}
    inherited = {name: value for name, value in os.environ.items() if name not in given}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**inherited, "CI": ci, "PATH": "/nowhere"},
        timeout=170.0,
    )
