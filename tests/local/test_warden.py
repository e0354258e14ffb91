"""Nothing that a driver or a fixture has started outlives it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.local.family import descendants, parents
from tests.patience import patient

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(
        not Path("/proc/self/environ").exists(), reason="wardens find processes in /proc"
    ),
    pytest.mark.slow,
    pytest.mark.timeout(90),
]

BROKERS = """
from tests.local import Mosquitto, Postgres
with Mosquitto.running(), Postgres.running() as server:
    server.create_database("more")
    print("up", flush=True)
    input()
"""
BY_HAND = """
import subprocess, sys
from tests.local.warden import guarded
guarded()
sleeper = "import time; print('up', flush=True); time.sleep(600)"
starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"
subprocess.Popen([sys.executable, "-c", starter], start_new_session=True)
input()
"""
FROZEN = """
from pathlib import Path
from tests.local import Process
process = Process(["sleep", "600"], log=Path("/dev/null"))
process.start()
process.freeze()
print("up", flush=True)
input()
"""
NURSERY = """
import asyncio
from pathlib import Path
from tempfile import mkdtemp
from tests.crash.processes import Nursery
from tests.local.warden import guarded
from tests.prove.worker import Task
async def main():
    folder = Path(mkdtemp())
    async with Nursery() as nursery:
        task = Task(role="shipping", run="warden", broker="memory://", store="memory://",
                    proc="shipping-1", life=1, history=str(folder / "history"))
        child = await nursery.child(task, folder / "log", folder / "arrivals")
        child.signal(__import__("signal").SIGSTOP)
        print("up", flush=True)
        await asyncio.to_thread(input)
guarded()
asyncio.run(main())
"""
TEST = """
from pathlib import Path
from tests.local import Process
def test_that_never_ends():
    process = Process(["sleep", "600"], log=Path("/dev/null"))
    process.start()
    Path("worker").write_text(str(__import__("os").getpid()))
    __import__("time").sleep(600)
"""


@contextmanager
def driver(program: str) -> Generator[subprocess.Popen[bytes]]:
    """Run a program that starts others, under a mark of its own, until it has started them."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=pipe, stdout=pipe) as it:
        try:
            assert it.stdout is not None
            assert it.stdout.readline() == b"up\n"
            yield it
        finally:
            it.kill()


def killed(process: subprocess.Popen[bytes], started: set[int]) -> None:
    """Kill it with -9, and return once all that it had started is gone."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + patient(10)
    while left := started & parents().keys():
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("program", "least"),
    [(BY_HAND, 2), (FROZEN, 1), (NURSERY, 2)],
    ids=["by other processes", "frozen", "by a nursery, and frozen"],
)
def test_what_a_driver_started_ends_when_it_is_killed(program: str, least: int) -> None:
    with driver(program) as process:
        started = descendants(process.pid)

        killed(process, started)

    assert len(started) > least  # the warden is one of them


@pytest.mark.usefixtures("mosquitto", "postgres")  # where one is absent, they say so
def test_brokers_end_with_a_driver_that_is_killed() -> None:
    with driver(BROKERS) as process:
        started = descendants(process.pid)

        killed(process, started)

    assert len(started) > 5  # Mosquitto, a postmaster, and what that has started


def test_what_a_worker_of_xdist_started_ends_when_it_is_killed(tmp_path: Path) -> None:
    with sharing(tmp_path) as process:
        worker = int(until_written(tmp_path / "worker"))
        started = descendants(worker)

        os.kill(worker, signal.SIGKILL)

        deadline = time.monotonic() + patient(10)
        while started & parents().keys():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert process.pid not in started
    assert len(started) > 1


def test_workers_of_xdist_and_all_they_started_end_when_the_run_is_killed(tmp_path: Path) -> None:
    with sharing(tmp_path) as process:
        until_written(tmp_path / "worker")
        started = descendants(process.pid)

        killed(process, started)

    assert len(started) > 3


@contextmanager
def sharing(folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a test that never ends in a worker of xdist, as the tests here are run."""
    (folder / "test_one.py").write_text(TEST)
    (folder / "conftest.py").write_text("from tests.local.warden import guarded\nguarded()\n")
    command = [sys.executable, "-m", "pytest", "-q", "-n1", "-p", "no:cacheprovider", "test_one.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet) as process:
        try:
            yield process
        finally:
            process.kill()


def until_written(file: Path) -> str:
    """Wait for what a test writes down once it has begun."""
    deadline = time.monotonic() + patient(30)
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.02)
    return file.read_text()
