"""``choreo contracts check``, ``diff`` and ``accept``: contracts beside their predecessors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from choreo.cli.acceptance import write_acceptance
from choreo.cli.consuming import misfits, show_misfit
from choreo.cli.deploying import check_locks
from choreo.cli.evolution import Change, Question, changes, folder_of, key_of, rewritten
from choreo.cli.evolution_report import show_change, show_difference, show_rewritten
from choreo.cli.failure import NothingFound
from choreo.cli.history import Folder, Release, in_folder, release
from choreo.cli.screen import print_json, print_line
from choreo.cli.standing import Request, Standing, State, named, show_standings, standings_of
from choreo.cli.target import service_or_event
from choreo.cli.uncommitted import show_uncommitted, uncommitted
from choreo.contracts.derive import derive
from choreo.contracts.mode import Mode
from choreo.errors import ConfigurationError
from choreo.event import event_type
from choreo.service import Service
from choreo.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is asked of contracts and their predecessors."""

    targets: Sequence[str] = ()
    schemas: Path | None = None
    mode: Mode | None = None
    """None: as the settings say."""
    against: str | None = None
    locks: Sequence[Path] = ()
    """What other projects emit and take."""
    json: bool = False


def check(comparison: Comparison) -> None:
    """Compare classes with contracts, and these with earlier ones; ConfigurationError if any fails.

    Contracts are found by the targets, or in the settings' folder where there are none.
    """
    standings = _standings(comparison)
    show_standings(standings, json=comparison.json)
    question = _question(comparison, standings)
    broken = sum(not one.holds for one in standings)
    for missing in () if comparison.targets else uncommitted(question.roots[0]):
        show_uncommitted(missing, json=comparison.json)
        broken += 1
    for unfit in misfits(question.services, question.roots):
        show_misfit(unfit, json=comparison.json)
        broken += 1
    for touched in rewritten(question):
        show_rewritten(touched, json=comparison.json)
        broken += 1
    for change in changes(question):
        show_change(change, json=comparison.json)
        broken += bool(change.open)
    if comparison.locks:
        found = check_locks(comparison.targets, comparison.locks, json=comparison.json)
        broken += not found.safe
    if broken:
        raise ConfigurationError(
            f"{broken} contract{'s do' if broken > 1 else ' does'} not hold: choreo contracts "
            "export writes those that are missing, and says what to do about those that differ "
            "from their class; what breaks on purpose: choreo contracts accept"
        )


def diff(comparison: Comparison) -> None:
    """Tell how the newest versions differ from those before, and what that means to whom."""
    question = _question(comparison, _standings(comparison))
    for touched in rewritten(question):
        show_rewritten(touched, json=comparison.json)
    for change in changes(question):
        show_difference(change, json=comparison.json)


def accept(comparison: Comparison, events: Sequence[str], because: str) -> None:
    """Keep the decision that the newest version of each of *events* breaks with earlier ones.

    Raises NothingFound for an event without a contract, or with nothing to decide about.
    """
    question = _question(comparison, ())
    found = list(changes(question))
    for event in events:
        mine = [change for change in found if change.folder.name == event and change.open]
        if not mine:
            raise NothingFound(f"{event} breaks with nothing in mode {question.mode}")
        for change in mine:
            _accept(change, because, question.roots, json=comparison.json)


def _accept(change: Change, because: str, roots: Sequence[Path], *, json: bool) -> None:
    root = next(root for root in roots if Path(change.new.origin).is_relative_to(root))
    path = write_acceptance(
        root / change.folder,
        change.new.number,
        change.new.digest,
        because=because,
        breaks=[key_of(one) for one in change.verdict.findings],
    )
    if json:
        print_json({"event": change.folder.name, "version": change.new.number, "path": str(path)})
    else:
        print_line(f"accepted   {path}")


def _standings(comparison: Comparison) -> Sequence[Standing]:
    return standings_of(Request(targets=comparison.targets, schemas=comparison.schemas))


def _question(comparison: Comparison, standings: Sequence[Standing]) -> Question:
    found = [service_or_event(target) for target in comparison.targets]
    services = [one for one in found if isinstance(one, Service)]
    roots = [one.schemas for one in standings]
    roots += [one.settings(schemas=comparison.schemas).schemas for one in services]
    if not comparison.targets:
        roots.append(Settings.load(schemas=comparison.schemas).schemas)
        nothing = not in_folder(roots[0]) and not uncommitted(roots[0])
        if nothing and comparison.against is None and not comparison.locks:
            raise NothingFound(f"there are no contracts in {roots[0]}")
    return Question(
        roots=list(dict.fromkeys(roots)),
        mode=comparison.mode or Settings.load().compatibility,
        against=comparison.against,
        derived=dict(map(_derived, (one for one in standings if one.state is State.MISSING))),
        services=services,
        events=[one.event for one in standings],
    )


def _derived(one: Standing) -> tuple[tuple[Path, Folder], Release]:
    number = event_type(one.event).version
    schema: JsonValue = derive(one.event)
    return (one.schemas, folder_of(one.event)), release(number, schema, f"class {named(one.event)}")
