"""``choreo dlq``: what a service gave up, grouped by what went wrong, or whole."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256

from choreo.broker import Broker
from choreo.cli.failure import NothingFound
from choreo.cli.reaching import reached
from choreo.cli.record import Record, Recorder, as_json, one_line, shown
from choreo.cli.screen import out, pairs, print_json, table
from choreo.dead_letter import DeadLetter, dead_letter_filter, original, read_dead_letter
from choreo.message import Delivery, Message
from choreo.reason import Reason
from choreo.settings import Settings
from choreo.timestamps import rfc3339

VARYING = re.compile(r"[0-9a-fA-F-]{8,}|\d+|'[^']*'|\"[^\"]*\"")
"""Parts of an error's text that differ from event to event: ids, numbers, quoted values."""
FINGERPRINT_LENGTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``choreo dlq``."""

    service: str
    broker: str | None = None
    reason: Reason | None = None
    handler: str | None = None
    fingerprint: str | None = None
    identity: str | None = None
    """Id of the letter, or of the event in it."""
    limit: int | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One message on the dead-letter topic."""

    found: Delivery
    letter: DeadLetter | None
    """None for what choreo did not bury."""
    record: Record
    """The message as it came to the service."""

    @property
    def kind(self) -> str | None:
        """Type of the event in the letter, where it can be read."""
        envelope = self.record.envelope
        return None if envelope is None else envelope.type

    @property
    def fingerprint(self) -> str:
        """Name what went wrong, the same for all that went wrong alike."""
        letter = self.letter
        parts: list[str | None] = [self.kind]
        if letter is not None:
            error = VARYING.sub("*", letter.error or "")
            parts += [letter.reason, letter.handler, letter.topic, letter.error_type, error]
        return sha256(repr(parts).encode()).hexdigest()[:FINGERPRINT_LENGTH]

    def matches(self, request: Request) -> bool:
        """Tell whether *request* asks for it."""
        letter, envelope = self.letter, self.record.envelope
        ids = {letter.id if letter else None, envelope.id if envelope else None}
        return (
            (request.reason is None or (letter is not None and letter.reason is request.reason))
            and (
                request.handler is None
                or (letter is not None and letter.handler == request.handler)
            )
            and (request.fingerprint is None or self.fingerprint.startswith(request.fingerprint))
            and (request.identity is None or request.identity in ids)
        )


@dataclass(slots=True)
class Group:
    """Letters that went wrong alike; only the first is kept, and the others counted."""

    example: Entry
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, entry: Entry) -> None:
        """Count *entry*."""
        self.count += 1
        if entry.letter is not None:
            buried = entry.letter.buried
            self.first = min(self.first or buried, buried)
            self.last = max(self.last or buried, buried)


async def summarise(request: Request) -> None:
    """Print the dead letters of a service by fingerprint, the most frequent first."""
    groups: dict[str, Group] = {}
    async with _asked_for(request) as entries:
        async for entry in entries:
            groups.setdefault(entry.fingerprint, Group(entry)).add(entry)
    total = sum(group.count for group in groups.values())
    ranked = sorted(groups.items(), key=lambda item: -item[1].count)[: request.limit]
    if request.json:
        values = [_group_json(fingerprint, group) for fingerprint, group in ranked]
        print_json({"service": request.service, "total": total, "groups": values})
        return
    columns = ("count", "fingerprint", "reason", "handler", "event", "topic", "last", "error")
    rows = [_group_row(fingerprint, group) for fingerprint, group in ranked]
    out().print(table(f"{total} dead letters of {request.service}", columns, rows))


async def show(request: Request) -> None:
    """Print dead letters whole; raise NothingFound if there is none that was asked for."""
    number = 0
    async with _asked_for(request) as entries:
        async for entry in entries:
            number += 1
            if request.json:
                print_json(_entry_json(entry))
            else:
                _print(entry, number)
            if number == request.limit:
                break
    if not number:
        raise NothingFound(f"no such dead letter of {request.service}")


@asynccontextmanager
async def _asked_for(request: Request) -> AsyncGenerator[AsyncGenerator[Entry]]:
    settings = Settings.load(broker=request.broker)
    async with reached(settings) as broker, aclosing(_entries(broker, request)) as entries:
        yield entries


async def _entries(broker: Broker, request: Request) -> AsyncGenerator[Entry]:
    recorder = Recorder(broker.capabilities)
    place = dead_letter_filter(request.service, broker.capabilities)
    async with broker.browse(place) as deliveries:
        async for delivery in deliveries:
            entry = _entry(delivery, recorder)
            if entry.matches(request):
                yield entry


def _entry(delivery: Delivery, recorder: Recorder) -> Entry:
    letter = read_dead_letter(delivery)
    if letter is None:
        return Entry(delivery, None, recorder.read(delivery))
    return Entry(delivery, letter, recorder.read(_delivered(original(delivery), letter)))


def _delivered(message: Message, letter: DeadLetter) -> Delivery:
    """Put the original back where the service met it."""
    return Delivery(
        topic=message.topic,
        body=message.body,
        key=message.key,
        headers=message.headers,
        stream=letter.stream,
        position=letter.position,
    )


def _entry_json(entry: Entry) -> dict[str, object]:
    letter = entry.letter
    return {
        "fingerprint": entry.fingerprint,
        "letter": None if letter is None else _letter_json(letter),
        "message": as_json(entry.record),
        "stored": {
            "topic": entry.found.topic,
            "stream": entry.found.stream,
            "position": entry.found.position,
        },
    }


def _letter_json(letter: DeadLetter) -> dict[str, object]:
    values = asdict(letter)
    values["first_failed"] = rfc3339(letter.first_failed)
    values["buried"] = rfc3339(letter.buried)
    return values


def _group_json(fingerprint: str, group: Group) -> dict[str, object]:
    letter = group.example.letter
    return {
        "fingerprint": fingerprint,
        "count": group.count,
        "reason": letter.reason if letter else None,
        "handler": letter.handler if letter else None,
        "type": group.example.kind,
        "topic": letter.topic if letter else None,
        "error_type": letter.error_type if letter else None,
        "error": letter.error if letter else None,
        "first": rfc3339(group.first) if group.first else None,
        "last": rfc3339(group.last) if group.last else None,
    }


def _group_row(fingerprint: str, group: Group) -> tuple[object, ...]:
    values = _group_json(fingerprint, group)
    names = ("count", "fingerprint", "reason", "handler", "type", "topic", "last", "error")
    return tuple("–" if values[name] is None else values[name] for name in names)


def _print(entry: Entry, number: int) -> None:
    console = out()
    letter, record = entry.letter, entry.record
    values: dict[str, object] = {"fingerprint": entry.fingerprint}
    if letter is None:
        values["letter"] = "not buried by choreo"
    else:
        values |= {name: value for name, value in _letter_json(letter).items() if value is not None}
    if record.envelope is None:
        values["problem"] = record.problem or ""
    for name, value in record.delivery.headers:
        values[f"header {name}"] = "(none)" if value is None else shown(value)
    if record.delivery.key is not None:
        values["key"] = shown(record.delivery.key)
    kind = None if record.envelope is None else record.envelope.content_type
    values["body"] = one_line(record.delivery.body, kind)
    console.print(f"── {number} ──")
    console.print(pairs(values))
