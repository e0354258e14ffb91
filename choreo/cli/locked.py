"""Locks that commands are given: of what is named here, and of files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from choreo.cli.failure import NothingFound
from choreo.cli.target import service_or_event
from choreo.contracts.lock import LOCK, Emission, ServiceLock, read_lock
from choreo.contracts.locking import Seen, emission, lock_of
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.service import Service
from choreo.settings import Settings


def kept_here() -> Mapping[str, ServiceLock]:
    """Read the lock of the current folder; nothing if there is none."""
    path = Path.cwd() / LOCK
    return read_lock(path).services if path.is_file() else {}


def own(targets: Sequence[str]) -> dict[str, ServiceLock]:
    """Lock what is named as it is now; what it reads is known from the lock that is kept here.

    An event that is named alone stands for a service that writes nothing else.
    """
    return dict(_own(targets, Path.cwd(), kept_here()))


def _own(
    targets: Sequence[str], root: Path, kept: Mapping[str, ServiceLock]
) -> Iterator[tuple[str, ServiceLock]]:
    for target in targets:
        found = service_or_event(target)
        if isinstance(found, Service):
            seen = _seen(kept.get(found.name, ServiceLock()))
            yield found.name, lock_of(found, root, seen)
        else:
            yield target, ServiceLock(emits=[_alone(found)])


def _alone(event: type[Event]) -> Emission:
    return emission(event, (), Settings.load())


def _seen(lock: ServiceLock) -> Seen:
    """Take over what tests have shown of the same handlers."""
    return Seen(
        {
            name: reading.reads
            for taken in lock.consumes
            for name, reading in taken.handlers.items()
            if reading.observed
        }
    )


def locks(paths: Sequence[Path]) -> dict[str, ServiceLock]:
    """Read lock files, and all in folders; raise ConfigurationError for one service in two."""
    found: dict[str, ServiceLock] = {}
    origins: dict[str, Path] = {}
    for path in files(paths):
        for name, lock in read_lock(path).services.items():
            if name in found:
                raise ConfigurationError(
                    f"the service {name} is locked in {origins[name]} and in {path}"
                )
            found[name], origins[name] = lock, path
    return found


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """List lock files, and all that are in folders; raise NothingFound for a folder of none."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        locks = sorted(path.rglob("*.lock"))
        if not locks:
            raise NothingFound(f"there are no locks in {path}")
        yield from locks
