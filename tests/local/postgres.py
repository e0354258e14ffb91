"""PostgreSQL on loopback, in a data folder of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.local.process import LOOPBACK, AbsentError, Process, StartError, free_ports, wait_until

SUPERUSER = "choreo"
UNPRIVILEGED = "postgres"
COMMAND_BUDGET = 60.0


class Postgres(Process):
    """A server that can be killed and started again with what it had committed."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.port = free_ports(1)[0]
        self.data = folder / "data"
        self.user = UNPRIVILEGED if os.geteuid() == 0 else None  # it refuses to run as root
        self._sockets = folder
        _run(
            *(program("initdb"), "-D", str(self.data), "-U", SUPERUSER, "--auth=trust"),
            *("--no-sync", "--encoding=UTF8", "--locale=C"),
            user=self.user,
        )
        options = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": str(folder),
            "port": str(self.port),
            **settings,
        }
        super().__init__(
            [
                *(program("postgres"), "-D", str(self.data)),
                *(argument for k, v in options.items() for argument in ("-c", f"{k}={v}")),
            ],
            log=folder / "postgres.log",
            user=self.user,
            stop_signal=signal.SIGINT,  # "fast": ends the sessions, then writes a checkpoint
        )

    @classmethod
    @contextmanager
    def running(cls, settings: Mapping[str, str] | None = None) -> Generator[Self]:
        """Start a fresh server that answers, and take it away with its data afterwards."""
        program("postgres")
        with tempfile.TemporaryDirectory(prefix="choreo-postgres-") as scratch:
            folder = Path(scratch)
            if os.geteuid() == 0:
                shutil.chown(folder, UNPRIVILEGED)
            server = cls(folder, settings or {})
            try:
                server.start()
                yield server
            finally:
                server.terminate()

    @property
    def dsn(self) -> str:
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/postgres"

    def start(self) -> None:
        super().start()
        wait_until(self._answers, "PostgreSQL answered", needs=[self])

    def kill(self) -> None:
        """End it as a power cut would, its sessions included: a new one refuses to meet them."""
        sessions = _children(self.pid)
        super().kill()
        wait_until(lambda: not any(map(_alive, sessions)), "PostgreSQL's sessions ended")

    def create_database(self, name: str) -> str:
        """Make an empty database and return its DSN."""
        server = ["-h", LOOPBACK, "-p", str(self.port), "-U", SUPERUSER]
        _run(program("createdb"), *server, name, user=self.user)
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{name}"

    def _answers(self) -> bool:
        server = ["-h", LOOPBACK, "-p", str(self.port), "-U", SUPERUSER, "-d", "postgres"]
        command = [program("pg_isready"), "-q", *server]
        return subprocess.run(command, check=False, timeout=COMMAND_BUDGET).returncode == 0


def program(name: str) -> str:
    """Return where a PostgreSQL program is, the newest where there are several."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3])
    )
    found = str(debian[-1]) if debian else shutil.which(name)
    if found is None:
        raise AbsentError(f"no PostgreSQL: no {name!r} on the PATH (Debian: postgresql)")
    return found


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


def _alive(pid: int) -> bool:
    """Tell whether it still holds its memory: a zombie nobody has buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _run(*command: str, user: str | None) -> None:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        user=user,
        group=user,
        extra_groups=() if user else None,
        cwd="/",
        timeout=COMMAND_BUDGET,
    )
    if done.returncode != 0:
        raise StartError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
