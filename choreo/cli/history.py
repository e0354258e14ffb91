"""The versions of contracts there are: in a folder, and in a commit of it."""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from choreo.codec.schema_folder import contract
from choreo.contracts.compatibility import Version
from choreo.contracts.schema import read_schema
from choreo.errors import ConfigurationError

GIT_SECONDS = 30.0
"""A repository that does not answer for so long does not answer."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of one contract."""

    number: int
    schema: JsonValue
    digest: str
    origin: str

    @property
    def version(self) -> Version:
        """The version as it is judged."""
        return Version(self.number, read_schema(self.schema, self.origin))


Folder = PurePosixPath
"""``topic/event`` within the folder of all contracts."""
Histories = Mapping[Folder, Sequence[Release]]


def in_folder(root: Path) -> Histories:
    """Read what is in the folder now; raise ConfigurationError for a file that is no schema."""
    return _histories(
        (PurePosixPath(path.relative_to(root).as_posix()), _text(path), str(path))
        for path in sorted(root.glob("*/*/*.avsc"))
    )


def in_commit(root: Path, ref: str) -> Histories:
    """Read what was in the folder at *ref*; raise ConfigurationError if git does not tell."""
    commit = _commit(root, ref)
    names = _git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", ".").split("\0")
    paths = [PurePosixPath(name) for name in names if name]
    return _histories(
        (path, _git(root, "show", f"{commit}:./{path}"), f"{ref}:{path}")
        for path in paths
        if len(path.parts) == len(("topic", "event", "version")) and path.suffix == ".avsc"
    )


def at_commit(path: Path, ref: str) -> str | None:
    """Read a file as it was at *ref*; None if it was not there.

    Raises ConfigurationError if git does not tell.
    """
    folder = path.absolute().parent
    commit = _commit(folder, ref)
    names = _git(folder, "ls-tree", "-z", "--name-only", commit, "--", f"./{path.name}")
    return _git(folder, "show", f"{commit}:./{path.name}") if names else None


def release(number: int, schema: JsonValue, origin: str) -> Release:
    """Make a version of a schema; raise ConfigurationError if it is none."""
    return Release(number, schema, contract(schema, origin).digest, origin)


def _histories(files: Iterable[tuple[PurePosixPath, str, str]]) -> Histories:
    found: dict[Folder, list[Release]] = {}
    for path, text, origin in files:
        if path.stem.isdecimal():
            try:
                schema: JsonValue = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ConfigurationError(
                    f"the contract {origin} cannot be read: {error}"
                ) from error
            found.setdefault(path.parent, []).append(release(int(path.stem), schema, origin))
    return {
        folder: sorted(releases, key=lambda one: one.number) for folder, releases in found.items()
    }


def _commit(root: Path, ref: str) -> str:
    asked = ("--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    return _git(root, "rev-parse", *asked).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the contract {path} cannot be read: {error}") from error


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 -- no shell, and the reference comes behind an option's end
            ["git", *arguments],  # noqa: S607 -- wherever the machine keeps it
            cwd=root,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"git cannot be asked about {root}: {error}") from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip() or "there is no such commit"
        raise ConfigurationError(
            f"git knows nothing of that in {root}: git {arguments[0]} {arguments[-1]}: {told}"
        )
    return done.stdout.decode(errors="replace")
