"""``choreo dlq list|show|stats``: what was given up, grouped by what went wrong, whole, counted."""

import getpass
import re
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import typer

from choreo.cli.asked import AGO, Asked
from choreo.cli.failure import NothingFound
from choreo.cli.reaching import reached
from choreo.cli.record import Record, Recorder, as_json, one_line, shown
from choreo.cli.screen import out, pairs, print_json, table
from choreo.desk.case import UNKNOWN, Case, restored, told_by
from choreo.desk.conventions import Told
from choreo.desk.desk import Desk
from choreo.desk.place import of_service, of_topic
from choreo.desk.selection import EVERY, OPEN, Selection
from choreo.desk.statistics import Group, groups, statistics
from choreo.errors import DecodeError
from choreo.message import Delivery
from choreo.settings import Settings
from choreo.timestamps import parse_rfc3339, rfc3339

SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a command of the desk was asked."""

    service: str | None
    topic: str | None
    broker: str | None
    selection: Selection
    json: bool

    @property
    def name(self) -> str:
        """The service, or the topic."""
        return self.service or self.topic or ""


def request(
    asked: Asked, *, every: bool, identity: str | None = None, limit: int | None = None
) -> Request:
    """Make sense of the options; raise BadParameter for what makes none."""
    if (asked.service is None) is (asked.topic is None):
        raise typer.BadParameter("name a --service, or a --topic of others' letters")
    selection = Selection(
        states=EVERY if every else OPEN,
        identity=identity,
        event=asked.event,
        handler=asked.handler,
        reason=asked.reason,
        fingerprint=asked.fingerprint,
        key=asked.key,
        since=_moment("--since", asked.since),
        until=_moment("--until", asked.until),
        limit=limit,
    )
    return Request(
        service=asked.service,
        topic=asked.topic,
        broker=asked.broker,
        selection=selection,
        json=asked.json,
    )


@asynccontextmanager
async def desk(request: Request) -> AsyncGenerator[Desk]:
    """Reach the broker and open the desk that *request* is for."""
    async with reached(Settings.load(broker=request.broker)) as broker:
        if request.service is not None:
            place = of_service(request.service, broker.capabilities)
        else:
            place = of_topic(request.topic or "", broker.capabilities)
        yield Desk(broker, place, by=_person())


async def cases(request: Request) -> list[Case]:
    """Find what was asked for; raise NothingFound if there is none."""
    async with desk(request) as opened:
        found = request.selection.of(await opened.survey())
    if not found:
        raise NothingFound(f"no such dead letter of {request.name}")
    return found


async def summarise(request: Request, limit: int | None) -> None:
    """Print the letters by fingerprint, the most frequent first, *limit* groups of them."""
    async with desk(request) as opened:
        found = request.selection.of(await opened.survey())
    ranked = groups(found)[:limit]
    if request.json:
        values = [_group_json(fingerprint, group) for fingerprint, group in ranked]
        states = Counter(str(case.state) for case in found)
        summary = {"service": request.service, "topic": request.topic, "total": len(found)}
        print_json({**summary, "states": states, "groups": values})
        return
    columns = ("count", "fingerprint", "reason", "handler", "event", "topic", "last", "error")
    rows = [_group_row(fingerprint, group) for fingerprint, group in ranked]
    title = f"{numbered(len(found))} of {request.name}{_states(found)}"
    out().print(table(title, columns, rows))


async def show(request: Request) -> None:
    """Print letters whole; raise NothingFound if there is none that was asked for."""
    number = 0
    async with desk(request) as opened:
        recorder = Recorder(opened.capabilities)
        found = request.selection.of(await opened.survey())
        async with aclosing(opened.whole(found)) as letters:
            async for case, letter in letters:
                number += 1
                record = _record(recorder, case, letter)
                if request.json:
                    print_json(_case_json(case, told_by(letter), record))
                else:
                    _print(case, told_by(letter), record, number)
    if not number:
        raise NothingFound(f"no such dead letter of {request.name}")


async def count(request: Request) -> None:
    """Print the counts of all letters that were asked for."""
    async with desk(request) as opened:
        found = request.selection.of(await opened.survey())
    counts = statistics(found, datetime.now(UTC))
    tables = {
        "states": counts.states,
        "reasons": counts.reasons,
        "handlers": counts.handlers,
        "events": counts.events,
        "ages": counts.ages,
        "fingerprints": counts.fingerprints,
    }
    about = {"oldest": _text(counts.oldest), "newest": _text(counts.newest)}
    if request.json:
        place = {"service": request.service, "topic": request.topic, "total": counts.total}
        print_json({**place, **about, **tables})
        return
    out().print(f"{numbered(counts.total)} of {request.name}")
    out().print(pairs({name: value or "–" for name, value in about.items()}))
    for name, counted in tables.items():
        rows = [(number, value) for value, number in counted.most_common()]
        out().print(table(name, ("count", ""), rows))


def numbered(number: int) -> str:
    """Write how many letters there are."""
    return f"{number} dead letter" if number == 1 else f"{number} dead letters"


def case_json(case: Case, told: Told) -> dict[str, object]:
    """Return what ``--json`` says of a letter itself."""
    return {
        **asdict(told),
        "id": case.id,
        "first_failed": _text(told.first_failed),
        "buried": _text(told.buried),
        "replays": case.replays,
    }


def decision_json(case: Case) -> dict[str, object] | None:
    """Return what ``--json`` says of what was decided about a letter."""
    decision = case.decision
    if decision is None:
        return None
    return {**asdict(decision), "at": rfc3339(decision.at)}


def _states(found: Sequence[Case]) -> str:
    """Say in which states they are, unless all are open."""
    states = Counter(str(case.state) for case in found)
    if set(states) <= {"open"}:
        return ""
    return f": {', '.join(f'{number} {state}' for state, number in states.most_common())}"


def _record(recorder: Recorder, case: Case, letter: Delivery) -> Record:
    """Put the message in *letter* back where the service met it."""
    told = case.told
    try:
        message = restored(letter, told)
    except DecodeError:
        message = letter
    return recorder.read(
        Delivery(
            topic=message.topic,
            body=message.body,
            key=message.key,
            headers=message.headers,
            stream=told.stream or letter.stream,
            position=letter.position if told.position is None else told.position,
        )
    )


def _case_json(case: Case, told: Told, record: Record) -> dict[str, object]:
    return {
        "fingerprint": case.fingerprint,
        "state": case.state,
        "decision": decision_json(case),
        "letter": None if told.convention == UNKNOWN else case_json(case, told),
        "message": as_json(record),
        "stored": {"topic": case.topic, "stream": case.stream, "position": case.position},
    }


def _group_json(fingerprint: str, group: Group) -> dict[str, object]:
    told = group.example.told
    return {
        "fingerprint": fingerprint,
        "count": group.count,
        "reason": told.reason,
        "handler": told.handler,
        "type": group.example.kind,
        "topic": told.topic,
        "error_type": told.error_type,
        "error": told.error,
        "first": _text(group.first),
        "last": _text(group.last),
    }


def _group_row(fingerprint: str, group: Group) -> tuple[object, ...]:
    values = _group_json(fingerprint, group)
    names = ("count", "fingerprint", "reason", "handler", "type", "topic", "last", "error")
    return tuple("–" if values[name] is None else values[name] for name in names)


def _print(case: Case, told: Told, record: Record, number: int) -> None:
    values: dict[str, object] = {"fingerprint": case.fingerprint, "state": case.state}
    values |= _present("decision ", decision_json(case) or {})
    values |= _present("", case_json(case, told))
    if case.problem is not None or record.envelope is None:
        values["problem"] = case.problem or record.problem or ""
    for name, value in record.delivery.headers:
        values[f"header {name}"] = "(none)" if value is None else shown(value)
    if record.delivery.key is not None:
        values["key"] = shown(record.delivery.key)
    kind = None if record.envelope is None else record.envelope.content_type
    values["body"] = one_line(record.delivery.body, kind)
    out().print(f"── {number} ──")
    out().print(pairs(values))


def _present(prefix: str, values: Mapping[str, object]) -> dict[str, object]:
    return {
        f"{prefix}{name}": value
        for name, value in values.items()
        if value is not None and value is not False and value != ""
    }


def _moment(option: str, text: str | None) -> datetime | None:
    """Read a moment, or how long ago it was."""
    if text is None:
        return None
    span = SPAN.fullmatch(text.strip())
    if span is not None:
        return datetime.now(UTC) - timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text!r}: write {AGO}") from None


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _person() -> str:
    """Tell who decides, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        return ""
