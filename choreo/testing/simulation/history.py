"""What happened in one simulated world, in order: the one thing that invariants look at.

What the broker and the database say outranks what processes say of themselves: a killed process has
a truncated log. Entries of kind ``accepted``, ``effect``, ``dead`` and ``left`` are that truth.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from hashlib import blake2b, sha256
from typing import Literal, TypedDict, cast

from choreo.dead_letter import is_dead_letter_topic, original
from choreo.errors import DecodeError
from choreo.letter_id import PREFIX
from choreo.message import Message

Kind = Literal[
    # the broker's and the database's word
    "accepted",  # a record is in a log
    "effect",  # an end was committed: handled
    "dead",  # an end was committed: in the dead letters
    "left",  # at the very end something still waits
    "committed",  # a group's place in a stream
    "dropped",  # a session never gets it, or has it no more
    # what processes and the scenario say
    "published",  # the scenario wants it published
    "refused",
    "unknown",
    "received",
    "began",  # a handler was called
    "failed",
    "ended",
    "settled",
    "observed",  # what handlers and scenarios told through observe()
    # what the world does to them
    "fault",
    "assigned",
    "revoked",
    "broken",  # what may not happen in a world at all
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened."""

    at: float
    """Virtual seconds since the beginning."""
    kind: Kind
    host: str = ""
    """Process and its life, as in ``payments-1#2``; empty for the world's own word."""
    service: str = ""
    handler: str = ""
    id: str = ""
    """The event's."""
    source: str = ""
    type: str = ""
    key: str = ""
    topic: str = ""
    stream: str = ""
    position: int = -1
    cause: str = ""
    """Id of the event that caused it."""
    correlation: str = ""
    emitted: tuple[str, ...] = ()
    """Of an effect: the ids of what it emitted."""
    number: int = -1
    """Its place in its stream, of an event that has one."""
    generation: int = 0
    """Which replay of the event it is about; 0 for the original."""
    payload: str = ""
    """Digest of the payload; not told in its line."""
    text: str = ""

    def __str__(self) -> str:
        """Tell it in one line."""
        told = [
            f"{one.name}={value}"
            for one in fields(self)
            if one.name not in {"at", "kind", "host", "payload", "text"}
            and (value := getattr(self, one.name)) not in {"", -1, (), 0}
        ]
        return " ".join(
            filter(None, [f"{self.at:10.4f}", f"{self.host:<16}", self.kind, *told, self.text])
        )


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One handler of one service."""

    service: str
    handler: str
    type: str
    topic: str
    durable: bool
    """Its ends are written in a store."""


@dataclass(slots=True)
class History:
    """Everything that happened under one seed."""

    seed: int
    subscribers: Sequence[Subscriber] = ()
    entries: list[Entry] = field(default_factory=list[Entry])
    closed: bool = False
    """Nothing counts any more."""

    def __iter__(self) -> Iterator[Entry]:
        """Go through the entries in order."""
        return iter(self.entries)

    def add(self, entry: Entry) -> None:
        """Note what has happened."""
        if not self.closed:
            self.entries.append(entry)

    def of(self, *kinds: Kind) -> Iterator[Entry]:
        """Go through the entries of some kinds."""
        return (entry for entry in self.entries if entry.kind in kinds)

    def observed(self, text: str) -> list[Entry]:
        """List what was told as *text* through ``observe``."""
        return [entry for entry in self.of("observed") if entry.text == text]

    @property
    def digest(self) -> str:
        """Hash the whole: two runs that agree in it are the same run."""
        hashed = sha256()
        for entry in self.entries:
            hashed.update(f"{entry} {entry.payload}\n".encode())
        return hashed.hexdigest()[:16]

    def around(self, words: Iterable[str], limit: int = 40) -> list[Entry]:
        """Select what concerns any of *words*, and the faults beside it.

        Words are ids, and what was observed and of which key: both, as a key may be any number.
        """
        wanted = set(words)
        wanted.update(
            entry.id
            for entry in self.of("observed")
            if entry.id and entry.key in wanted and wanted & {entry.text, *entry.text.split()}
        )
        chosen = [
            entry
            for entry in self.entries
            if entry.kind == "fault"
            or entry.id in wanted
            or entry.cause in wanted
            or (entry.kind == "observed" and entry.text in wanted)
        ]
        return chosen[:limit]


def difference(first: History, second: History) -> str:
    """Tell where two histories part that were to be the same."""
    for one, other in zip(first, second, strict=False):
        if str(one) != str(other):
            return f"the same seed had {_short(one)} and then {_short(other)}"
        if one.payload != other.payload:
            return f"event {one.id} of {one.topic!r} had another payload the second time"
    return f"the same seed had {len(first.entries)} entries and then {len(second.entries)}"


def _short(entry: Entry) -> str:
    return " ".join(filter(None, (entry.kind, entry.handler, entry.key, entry.text)))


def reads(topic_filter: str, topic: str) -> bool:
    """Say whether *topic_filter*, in which ``+`` stands for one level, matches *topic*."""
    if "+" not in topic_filter:
        return topic_filter == topic
    wanted, levels = topic_filter.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(
        one in {"+", level} for one, level in zip(wanted, levels, strict=True)
    )


Invariant = Callable[[History], Iterable[str] | None]
"""Looks at a history and tells what is wrong with it, a sentence each; or fails an assertion."""


class Told(TypedDict, total=False):
    """What the headers of a message tell of it."""

    id: str
    source: str
    type: str
    cause: str
    correlation: str
    key: str
    service: str
    handler: str
    number: int
    payload: str


def described(message: Message) -> Told:
    """Read from the headers of *message* what a history tells of it (CloudEvents' bindings)."""
    found: dict[str, object] = {}
    headers = [*message.headers]
    if is_dead_letter_topic(message.topic):
        with suppress(DecodeError):  # somebody else's, and no letter after all
            headers += original(message).headers
    for name, value in headers:
        plain = name.removeprefix("ce_")
        known = NAMES.get(plain)
        if plain == "sequence" and value is not None and value.isdigit():
            found["number"] = int(value)
        elif known is not None and value is not None:
            found[known] = value.decode("utf-8", "replace")
        elif name in LETTER and value is not None:
            found[LETTER[name]] = value.decode("utf-8", "replace")
    if message.body is not None:
        found["payload"] = blake2b(message.body, digest_size=4).hexdigest()
    if message.key is not None:
        found["key"] = message.key.decode("utf-8", "replace")
    return cast("Told", found)


NAMES = {
    "id": "id",
    "source": "source",
    "type": "type",
    "causationid": "cause",
    "correlationid": "correlation",
    "partitionkey": "key",
}

LETTER = {f"{PREFIX}group": "service", f"{PREFIX}handler": "handler"}
"""What a dead letter tells beside its event."""
