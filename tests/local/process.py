"""A program started by a test: known by its process id, logged to a file, always stopped.

It ends with the process that started it, even if that is killed: see `tests/local/warden.py`.
"""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.local.warden import guarded
from tests.patience import patient

LOOPBACK = "127.0.0.1"
STOP_BUDGET = 30.0
POLL_INTERVAL = 0.02


class AbsentError(Exception):
    """A part this machine does not have; its message says how to get it."""


class StartError(Exception):
    """A part that is there but did not come up; its message ends with its log."""


class Process:
    """One command that can be started, killed, frozen and started again."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        guarded()
        self.log = log
        self._command = command
        self._user = user
        self._environment = {**os.environ, **(environment or {})}
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Return the id; raise ProcessLookupError when it was never started."""
        if self._child is None:
            raise ProcessLookupError(f"{self._command[0]} was not started")
        return self._child.pid

    def start(self) -> None:
        assert not self.alive, f"{self._command[0]} runs already as {self.pid}"
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=self._user,
                extra_groups=() if self._user else None,
                env=self._environment,
            )

    def kill(self) -> None:
        """End it as a power cut would, leaving no time to write anything."""
        self._signal(signal.SIGKILL)
        self._wait()

    def terminate(self) -> None:
        """Ask it to end, and kill it when it has not within the budget."""
        self.thaw()
        self._signal(self._stop_signal)
        try:
            self._wait()
        except subprocess.TimeoutExpired:
            self.kill()

    def freeze(self) -> None:
        """Stop it in its tracks; its connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def _wait(self) -> None:
        if self._child is not None:
            self._child.wait(timeout=STOP_BUDGET)


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    within: float | None = None,
    needs: Sequence[Process] = (),
) -> None:
    """Return once the condition holds; raise StartError when time or a needed process is gone."""
    within = patient(30.0) if within is None else within
    deadline = time.monotonic() + within
    while not condition():
        for process in needs:
            if not process.alive:
                raise StartError(f"ended before {what}:\n{process.log_tail()}")
        if time.monotonic() > deadline:
            logs = "\n".join(process.log_tail() for process in needs)
            raise StartError(f"not after {within:g} s: {what}\n{logs}")
        time.sleep(POLL_INTERVAL)


def accepts_connections(port: int) -> bool:
    """Tell whether anyone listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_ports(count: int) -> list[int]:
    """Choose ports nobody has, below those the kernel lends to outgoing connections.

    A port from that range could be lent to a client while its broker is down for a restart,
    even to the very client that keeps knocking, which would then be connected to itself.
    """
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            try:
                candidate.bind((LOOPBACK, random.randrange(15_000, _first_ephemeral_port())))
            except OSError:
                candidate.close()
            else:
                held.append(candidate)
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:  # not a Linux: the range every other system uses
        return 49_152
