"""Mosquitto on loopback, with the very configuration that docker-compose.yml ships."""

import getpass
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.local.certificates import Authority
from tests.local.process import (
    LOOPBACK,
    AbsentError,
    Process,
    accepts_connections,
    free_ports,
    wait_until,
)

SHIPPED_CONFIG = Path(__file__).parents[2] / "docker" / "mosquitto.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class MosquittoOptions:
    """How a broker differs from the shipped configuration.

    *settings* replace or add single options (`{"max_packet_size": "4096"}`); None takes one away.
    *users* (name → password) closes the broker to everyone else; *rules* are lines of an ACL file.
    """

    settings: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    users: Mapping[str, str] = field(default_factory=dict[str, str])
    rules: Sequence[str] = ()
    tls: bool = False
    client_certificates: bool = False


class Mosquitto(Process):
    """A broker that can be killed and started again with what it had written."""

    def __init__(self, folder: Path, options: MosquittoOptions) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.data = folder / "data"
        self.data.mkdir()
        self.authority = Authority(folder) if options.tls else None
        self.client = self.authority.sign("client") if self.authority else None
        config = folder / "mosquitto.conf"
        config.write_text(_config(SHIPPED_CONFIG.read_text(), self._settings(options)))
        super().__init__([program(), "-c", str(config)], log=folder / "mosquitto.log")

    @classmethod
    @contextmanager
    def running(cls, options: MosquittoOptions | None = None) -> Generator[Self]:
        """Start a fresh broker that accepts connections, and take it away afterwards."""
        program()
        with tempfile.TemporaryDirectory(prefix="choreo-mosquitto-") as scratch:
            broker = cls(Path(scratch), options or MosquittoOptions())
            try:
                broker.start()
                yield broker
            finally:
                broker.kill()

    @property
    def url(self) -> str:
        scheme = "mqtts" if self.authority else "mqtt"
        return f"{scheme}://{LOOPBACK}:{self.port}"

    @property
    def state(self) -> Path:
        """Return the file that sessions, queues and retained messages survive in."""
        return self.data / "mosquitto.db"

    def has_saved(self, payload: bytes) -> bool:
        """Tell whether a kill would spare a message with this payload."""
        return self.state.exists() and payload in self.state.read_bytes()

    def start(self) -> None:
        super().start()
        wait_until(lambda: accepts_connections(self.port), "Mosquitto listened", needs=[self])

    def _settings(self, options: MosquittoOptions) -> Mapping[str, str | None]:
        settings: dict[str, str | None] = {
            "listener": f"{self.port} {LOOPBACK}",
            "persistence_location": f"{self.data}/",
            # As root it would become 'mosquitto' and silently write nothing into this folder.
            "user": getpass.getuser(),
        }
        if self.authority is not None:
            server = self.authority.sign("server")
            settings |= {
                "cafile": str(self.authority.certificate),
                "certfile": str(server.chain),
                "keyfile": str(server.key),
                "require_certificate": "true" if options.client_certificates else "false",
            }
        if options.users:
            settings["allow_anonymous"] = "false"
            settings["password_file"] = str(_password_file(self.folder, options.users))
        if options.rules:
            rules = self.folder / "rules"
            rules.write_text("\n".join(options.rules) + "\n")
            rules.chmod(0o600)
            settings["acl_file"] = str(rules)
        return settings | dict(options.settings)


def program() -> str:
    """Return where mosquitto is; Debian keeps it where ordinary users do not look."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise AbsentError("no MQTT broker: no 'mosquitto' on the PATH (Debian: mosquitto)")
    return found


def _config(shipped: str, settings: Mapping[str, str | None]) -> str:
    kept = [
        line
        for line in shipped.splitlines()
        if not re.match(r"\w+", line) or line.split()[0] not in settings
    ]
    ours = [f"{name} {value}" for name, value in settings.items() if value is not None]
    return "\n".join([*ours, *kept]) + "\n"


def _password_file(folder: Path, users: Mapping[str, str]) -> Path:
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for name, password in users.items():
        subprocess.run(
            ["mosquitto_passwd", "-b", str(passwords), name, password],
            check=True,
            capture_output=True,
            timeout=30.0,
        )
    return passwords
