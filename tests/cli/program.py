"""The installed command, started as a user starts it, and always stopped."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.local import wait_until

ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("choreo")
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """What was printed, one JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The error object on stderr."""
        error: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return error


class Program:
    """One command that is running."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], cwd: Path
    ) -> None:
        self.arguments = arguments
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._child = subprocess.Popen(
                [SCRIPT, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env=environment,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def logs(self) -> list[Any]:
        """The log lines so far, without a last one that is not whole."""
        lines = self._err.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line[-1] == "\n"]

    @property
    def out(self) -> str:
        return self._out.read_text()

    def logged(self, message: str) -> list[Any]:
        """Return the log lines that say *message*."""
        return [line for line in self.logs if line.get("message") == message]

    def until_logged(self, message: str, count: int = 1) -> list[Any]:
        """Wait for *count* log lines that say *message*."""
        self.until(lambda: len(self.logged(message)) >= count, f"{count} × {message!r}")
        return self.logged(message)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for *condition* while the program runs, or those it left behind when killed."""

        def holds() -> bool:
            over = self._child.poll() not in {None, -signal.SIGKILL}
            held = bool(condition())
            assert held or not over, f"ended before {what}: {self._ended()}"
            return held

        wait_until(holds, what, within=PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def ended(self) -> Outcome:
        """Wait for its end."""
        self._child.wait(PATIENCE)
        return self._ended()

    def stop(self) -> None:
        """End it, whatever state it is in; its children follow by their lifeline."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait(PATIENCE)

    def _ended(self) -> Outcome:
        code = self._child.returncode
        return Outcome(code, self._out.read_text(), self._err.read_text())


class Commands:
    """Runs commands in one environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stem = "cli"
        """Begins the names of services and topics; a broker that others use needs a fresh one."""
        self.settings: dict[str, str] = {}
        """What every command finds in CHOREO_… variables."""
        self.variables: dict[str, str] = {}
        self.notes_file = folder / "notes"
        self.notes_file.touch()
        self._programs: list[Program] = []

    @property
    def notes(self) -> list[str]:
        """What handlers have noted so far."""
        return self.notes_file.read_text().splitlines()

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(("CHOREO_", "OTEL_"))}
        return {
            **own,
            "CLI_NOTES": str(self.notes_file),
            "PYTHONPATH": str(ROOT),
            "CLI_STEM": self.stem,
            **self.variables,
            **{
                f"CHOREO_{name.upper()}": value
                for name, value in {**self.settings, **settings}.items()
            },
        }

    def start(self, *arguments: str, cwd: Path | None = None, **settings: str) -> Program:
        """Start a command and let it run; *settings* are given as CHOREO_… variables."""
        folder = self.folder / str(len(self._programs))
        folder.mkdir()
        environment = self.environment(settings)
        program = Program(arguments, folder, environment, cwd or self.folder)
        self._programs.append(program)
        return program

    def run(self, *arguments: str, stdin: str = "", **settings: str) -> Outcome:
        """Run a command to its end."""
        done = subprocess.run(
            [SCRIPT, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            cwd=self.folder,
            env=self.environment(settings),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def run_for_one_line(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command, read one line of it and hang up; return its code, the line and stderr."""
        with subprocess.Popen(
            [SCRIPT, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment({}),
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            line = child.stdout.readline()
            child.stdout.close()
            try:
                return child.wait(PATIENCE), line, child.stderr.read()
            finally:
                child.kill()

    def close(self) -> None:
        for program in self._programs:
            program.stop()
