"""``choreo contracts can-deploy``, and ``check`` against locks: who would not understand whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.cli.clash_report import show_deployment
from choreo.cli.failure import NothingFound
from choreo.cli.history import at_commit
from choreo.cli.locked import files, kept_here, locks, own
from choreo.contracts.deployment import Deployment, can_deploy
from choreo.contracts.lock import LOCK, ServiceLock, parse_lock
from choreo.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``can-deploy``."""

    candidates: Sequence[Path]
    deployed: Sequence[Path] = ()
    against: str | None = None
    side_by_side: bool = True
    """Old processes of a service may run while new ones do."""
    json: bool = False


def deploy(request: Request) -> None:
    """Tell whether the services of some locks may be deployed; ConfigurationError if not."""
    candidates = locks(request.candidates)
    deployed = dict(locks(request.deployed)) if request.deployed else {}
    if request.against is not None:
        deployed |= _committed(request.candidates, request.against)
    deployment = can_deploy(candidates, deployed, side_by_side=request.side_by_side)
    show_deployment(deployment, candidates, json=request.json)
    if not deployment.safe:
        names = ", ".join(sorted(candidates))
        only = deployment.overlaps and not deployment.refused and deployment.order is not None
        way = ": stop its old processes first, and say --stopped, or take two steps" if only else ""
        raise ConfigurationError(
            f"do not deploy {names}: somebody would not understand somebody{way}"
        )


def check_locks(targets: Sequence[str], others: Sequence[Path], *, json: bool) -> Deployment:
    """Compare what this project emits and takes with the locks of others, in both directions."""
    kept = kept_here()
    mine = own(targets) if targets else kept
    if not mine:
        raise NothingFound(f"nothing to compare: name services, or write {LOCK} first")
    deployment = can_deploy(mine, {**kept, **locks(others)})
    show_deployment(deployment, mine, json=json)
    return deployment


def _committed(paths: Sequence[Path], ref: str) -> Mapping[str, ServiceLock]:
    """Read the same files as a commit has them; one that it does not have is of a new service."""
    found: dict[str, ServiceLock] = {}
    for path in files(paths):
        text = at_commit(path, ref)
        if text is not None:
            found |= parse_lock(text, f"{ref}:{path}").services
    return found
