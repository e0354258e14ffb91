"""What the lock of a project says is written, and no committed contract says how."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.cli.locked import kept_here
from choreo.cli.screen import print_json, print_line
from choreo.contracts.lock import LOCK, Emission
from choreo.topic import Topic


@dataclass(frozen=True, slots=True)
class Uncommitted:
    """An event that a service writes, and whose contract is not there."""

    service: str
    emission: Emission
    path: Path

    @property
    def type(self) -> str:
        """Its type, as on the wire."""
        return f"{self.emission.event}.v{self.emission.version}"

    @property
    def command(self) -> str:
        """What writes it: of the services that the lock is made of, as pytest is told them."""
        targets = _services() or f"MODULE:SERVICE, where {self.service} is declared"
        return f"choreo contracts export {targets}"


def _services() -> str:
    """Name the services that pytest locks; nothing where pyproject.toml does not tell."""
    try:
        told = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
        names = told["tool"]["pytest"]["ini_options"]["choreo_services"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return names if isinstance(names, str) else " ".join(map(str, names))


def uncommitted(root: Path) -> Sequence[Uncommitted]:
    """List what the lock of the current folder knows is written, without a contract in *root*.

    Raises ConfigurationError for a lock that is none.
    """
    found: list[Uncommitted] = []
    for service, lock in kept_here().items():
        for one in lock.emits:
            path = root / Topic(one.topic).flat / one.event / f"{one.version}.avsc"
            if one.avro is not None and not path.is_file():
                found.append(Uncommitted(service, one, path))
    return found


def show_uncommitted(one: Uncommitted, *, json: bool) -> None:
    """Tell which contract is not there, who writes by it, and what makes it."""
    if json:
        print_json(
            {
                "path": str(one.path),
                "state": "missing",
                "type": one.type,
                "service": one.service,
                "command": one.command,
            }
        )
    else:
        print_line(f"missing    {one.path}  {one.type} of {one.service}, as {LOCK} tells")
        print_line(f"    {one.command}")
