"""How a process is told where to end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from choreo import failpoints
from choreo.errors import ConfigurationError
from choreo.failpoints import from_environment

REACHING = """
from choreo.failpoints import reached
for _ in range(3):
    reached("committed")
    reached("settling")
"""


def run(environment: dict[str, str]) -> int:
    """Run a program that reaches two points three times each; return how it ended."""
    command = [sys.executable, "-c", REACHING]
    return subprocess.run(command, env=environment, check=False, timeout=10).returncode


def test_without_an_order_nothing_happens_anywhere() -> None:
    assert not failpoints.armed
    assert run({}) == 0


def test_a_process_is_killed_at_the_point_and_the_time_it_was_told_and_says_where_it_was(
    tmp_path: Path,
) -> None:
    log = tmp_path / "arrivals"

    status = run({"CHOREO_FAILPOINT": "committed:2", "CHOREO_FAILPOINT_LOG": str(log)})

    assert status == -signal.SIGKILL
    places = [line.split(" ", 1)[1] for line in log.read_text().splitlines()]
    assert places == ["committed 1", "settling 1", "committed 2"]


@pytest.mark.parametrize("text", ["committed:0", "committed:x", "committed=burn", "a b", ":3"])
def test_an_order_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="CHOREO_FAILPOINT"):
        from_environment({"CHOREO_FAILPOINT": text})
