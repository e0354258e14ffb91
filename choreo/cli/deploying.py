"""``choreo contracts can-deploy``, and ``check`` against locks: who would not understand whom."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.cli.clash_report import show_deployment
from choreo.cli.failure import NothingFound
from choreo.cli.history import at_commit
from choreo.cli.target import service_or_event
from choreo.contracts.deployment import Deployment, Locks, can_deploy
from choreo.contracts.lock import LOCK, Emission, ServiceLock, parse_lock, read_lock
from choreo.contracts.locking import Seen, emission, lock_of
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.service import Service
from choreo.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``can-deploy``."""

    candidates: Sequence[Path]
    deployed: Sequence[Path] = ()
    against: str | None = None
    json: bool = False


def deploy(request: Request) -> None:
    """Tell whether the services of some locks may be deployed; ConfigurationError if not."""
    candidates = _locks(request.candidates)
    deployed = dict(_locks(request.deployed)) if request.deployed else {}
    if request.against is not None:
        deployed |= _committed(request.candidates, request.against)
    _judge(candidates, deployed, json=request.json)


def check_locks(targets: Sequence[str], others: Sequence[Path], *, json: bool) -> Deployment:
    """Compare what this project emits and takes with the locks of others, in both directions."""
    root = Path.cwd()
    kept = read_lock(root / LOCK).services if (root / LOCK).is_file() else {}
    mine = dict(_own(targets, root, kept)) if targets else kept
    if not mine:
        raise NothingFound(f"nothing to compare: name services, or write {root / LOCK} first")
    deployment = can_deploy(mine, {**kept, **_locks(others)})
    show_deployment(deployment, mine, json=json)
    return deployment


def _judge(candidates: Locks, deployed: Locks, *, json: bool) -> None:
    deployment = can_deploy(candidates, deployed)
    show_deployment(deployment, candidates, json=json)
    if not deployment.safe:
        names = ", ".join(sorted(candidates))
        raise ConfigurationError(f"do not deploy {names}: somebody would not understand somebody")


def _own(
    targets: Sequence[str], root: Path, kept: Mapping[str, ServiceLock]
) -> Iterator[tuple[str, ServiceLock]]:
    """Lock what is named as it is now; what it reads is known from the lock that is kept."""
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


def _locks(paths: Sequence[Path]) -> dict[str, ServiceLock]:
    """Read lock files, and all in folders; raise ConfigurationError for one service in two."""
    found: dict[str, ServiceLock] = {}
    origins: dict[str, Path] = {}
    for path in _files(paths):
        for name, lock in read_lock(path).services.items():
            if name in found:
                raise ConfigurationError(
                    f"the service {name} is locked in {origins[name]} and in {path}"
                )
            found[name], origins[name] = lock, path
    return found


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        locks = sorted(path.rglob("*.lock"))
        if not locks:
            raise NothingFound(f"there are no locks in {path}")
        yield from locks


def _committed(paths: Sequence[Path], ref: str) -> Mapping[str, ServiceLock]:
    """Read the same files as a commit has them; one that it does not have is of a new service."""
    found: dict[str, ServiceLock] = {}
    for path in _files(paths):
        text = at_commit(path, ref)
        if text is not None:
            found |= parse_lock(text, f"{ref}:{path}").services
    return found
