"""Processes of the program, started, killed and stopped by their ids."""

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]


class Workers:
    """The processes of one test; none outlives it."""

    def __init__(self, url: str, ledger: Path, name: str, topic: str, longest_ms: float) -> None:
        self._arguments = [url, str(ledger), name, topic, str(longest_ms)]
        self._log = ledger.with_suffix(".log")
        self._all: list[subprocess.Popen[bytes]] = []
        self.deaths: dict[int, float] = {}
        """When each killed process was killed, unix seconds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._all:
            if process.poll() is None:
                process.kill()
            process.wait(10)

    def start(self) -> subprocess.Popen[bytes]:
        """Start one more."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.promises.program", *self._arguments],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        self._all.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill it with -9."""
        process.kill()
        process.wait(10)
        self.deaths[process.pid] = time.time()

    def stop(self, process: subprocess.Popen[bytes], within: float = 30) -> int:
        """Ask it to stop, and give its exit code."""
        process.terminate()
        return process.wait(within)

    def log(self) -> str:
        """Read what they printed, for a failure's report."""
        return self._log.read_text(errors="replace")[-4_000:] if self._log.exists() else ""
