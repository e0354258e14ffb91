"""Event classes and the files that promise what they look like."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from choreo.cli.screen import print_json, print_line
from choreo.cli.target import service_or_event
from choreo.codec.schema_folder import SchemaFolder, read_contract, schema_text
from choreo.contracts.derive import derive
from choreo.contracts.difference import Absent, Difference, differences, rewordings
from choreo.errors import ConfigurationError
from choreo.event import Event, event_type
from choreo.files import write
from choreo.service import Service
from choreo.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``choreo contracts``."""

    targets: Sequence[str]
    schemas: Path | None = None
    force: bool = False
    json: bool = False


class State(StrEnum):
    """How a committed contract stands to its class."""

    SAME = "same"
    REWORDED = "reworded"
    """Other words for people, or another layout; what is on the wire is the same."""
    MISSING = "missing"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"
    """The file is no Avro schema."""
    WRITTEN = "written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One event, its committed contract, and how they go together."""

    event: type[Event]
    schemas: Path
    """The folder of all contracts."""
    path: Path
    state: State
    text: str
    """The contract as it would be written."""
    details: Sequence[Difference] = ()
    problem: str | None = None
    """Why the file is unreadable."""

    @property
    def holds(self) -> bool:
        """Tell whether a service can write the event by its committed contract."""
        return self.state in {State.SAME, State.REWORDED, State.WRITTEN}

    @property
    def command(self) -> str | None:
        """What writes the file that is missing, or says the same in other words."""
        if self.state not in {State.MISSING, State.REWORDED}:
            return None
        return f"choreo contracts export {named(self.event)}"


def export(request: Request) -> None:
    """Write the contracts of all targets, or none: ConfigurationError if one would be changed."""
    standings = standings_of(request)
    if not standings:
        raise ConfigurationError(
            "these services emit no events, and a contract belongs to who emits: name event "
            "classes, such as shop.events:OrderPlaced"
        )
    changed = [one for one in standings if one.state in {State.DIFFERENT, State.UNREADABLE}]
    if changed and not request.force:
        show_standings(standings, json=request.json)
        raise ConfigurationError(
            f"nothing was written, for {_count(changed, standings)} would say something else: "
            "a contract in use does not change, so raise the event's version; for one that was "
            "never used: --force"
        )
    for one in standings:
        if one.state is not State.SAME:
            write(one.path, one.text)
    show_standings([_written(one) for one in standings], json=request.json)


def standings_of(request: Request) -> list[Standing]:
    """Compare what services emit, and events that are named, with their contracts."""
    found: dict[tuple[type[Event], Path], Standing] = {}
    for event, schemas in _subjects(request):
        folder = SchemaFolder(schemas)
        path = folder.path(event)
        if (event, path) not in found:
            found[event, path] = _standing(event, schemas, path)
    _check_apart(found.values())
    return list(found.values())


def _subjects(request: Request) -> Iterable[tuple[type[Event], Path]]:
    """Yield each event and its folder; of a service, what its handlers emit."""
    for target in request.targets:
        found = service_or_event(target)
        if isinstance(found, Service):
            schemas = found.settings(schemas=request.schemas).schemas
            emits = {event for plan in found.plans for event in plan.emits}
            for event in sorted(emits, key=lambda event: event_type(event).type):
                yield event, schemas
        else:
            yield found, Settings.load(schemas=request.schemas).schemas


def _standing(event: type[Event], schemas: Path, path: Path) -> Standing:
    schema = derive(event)
    text = schema_text(schema)

    def so(
        state: State, details: Sequence[Difference] = (), problem: str | None = None
    ) -> Standing:
        return Standing(
            event=event,
            schemas=schemas,
            path=path,
            state=state,
            text=text,
            details=details,
            problem=problem,
        )

    if not path.exists():
        return so(State.MISSING)
    try:
        kept = read_contract(path)
    except ConfigurationError as error:
        return so(State.UNREADABLE, problem=str(error))
    details = differences(kept.schema, schema)
    if details:
        return so(State.DIFFERENT, details)
    if path.read_text(encoding="utf-8") == text:
        return so(State.SAME)
    return so(State.REWORDED, rewordings(kept.schema, schema))


def _check_apart(standings: Iterable[Standing]) -> None:
    """Raise ConfigurationError for two classes that claim one file with different contents."""
    by_path: dict[Path, Standing] = {}
    for one in standings:
        other = by_path.setdefault(one.path, one)
        if other.text != one.text:
            raise ConfigurationError(
                f"{named(other.event)} and {named(one.event)} both claim {one.path} and differ: "
                "export the one of the service that emits it, or name one of them"
            )


def _written(one: Standing) -> Standing:
    state = State.SAME if one.state is State.SAME else State.WRITTEN
    return replace(one, state=state, details=(), problem=None)


def show_standings(standings: Sequence[Standing], *, json: bool) -> None:
    """Tell how each contract stands."""
    show: Callable[[Standing], None] = _print_json if json else _print
    for one in standings:
        show(one)


def _print(one: Standing) -> None:
    print_line(f"{one.state:<10} {one.path}  {named(one.event)}")
    for detail in one.details:
        print_line(f"    {detail}")
    if one.problem is not None:
        print_line(f"    {one.problem}")
    if one.command is not None:
        print_line(f"    {one.command}")


def _print_json(one: Standing) -> None:
    print_json(
        {
            "event": named(one.event),
            "type": event_type(one.event).type,
            "path": str(one.path),
            "state": one.state,
            "differences": [_detail(detail) for detail in one.details],
            "problem": one.problem,
            "command": one.command,
        }
    )


def _detail(detail: Difference) -> dict[str, object]:
    """Return one difference; a side that has nothing there is left out."""
    values = {"committed": detail.committed, "derived": detail.derived}
    present = {name: value for name, value in values.items() if not isinstance(value, Absent)}
    return {"at": detail.at, **present}


def named(event: type[Event]) -> str:
    """Tell a class as commands take it."""
    return f"{event.__module__}:{event.__qualname__}"


def _count(some: Sequence[Standing], every: Sequence[Standing]) -> str:
    return f"{len(some)} of {len(every)} contracts"
