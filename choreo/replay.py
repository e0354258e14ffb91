"""What is decided about dead letters, on the wire: replays, and notes of what was done otherwise.

A replay is the dead letter as it lies, with headers of ours behind all others, on the one replay
topic of its service: only that service reads it, and hands it only to the handler that failed. The
topic is the journal of the desk at the same time. What was sent cannot fail to be written down, as
that is one record; what else was decided (drop, edit, send elsewhere) lies beside it as a note.

Headers of these names mean nothing on any other topic (T3), and within one only those from the last
``choreo-replay-letter`` on: whatever a producer wrote stands before it and stays the producer's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from choreo.broker import Capabilities, TopicFilter
from choreo.cloudevents.attributes import legible, parse_count
from choreo.errors import ChoreoError, DecodeError
from choreo.message import Delivery, Header, Message
from choreo.timestamps import parse_rfc3339, rfc3339

PREFIX = "choreo-replay-"
MARK = f"{PREFIX}letter"
"""Begins our headers."""
MAX_REPLAYS = 10
"""Replays of one letter after which only force makes another (D3)."""
MAX_TEXT = 256
BEHIND = ("behind-source", "behind-id", "behind-generation")
NOTE = b"-"
"""Body of what is only noted: an empty one would delete a kept value."""


class ReplayRefused(ChoreoError):
    """A replay cannot be handled, and goes back to the dead letters."""


class Action(StrEnum):
    """What was decided about a letter."""

    REPLAY = "replay"
    """Sent to the handler that failed: the record itself is the replay."""
    SEND = "send"
    """Sent to a topic that was named."""
    EDIT = "edit"
    """Replaced by a corrected event with an id of its own."""
    DROP = "drop"


class Behind(NamedTuple):
    """The replay that a replay follows: it is not to be handled if that one fails again."""

    source: str
    id: str
    """With the source, the event's."""
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody decided about one letter, and when."""

    letter: str
    """Id of the letter."""
    action: Action
    edition: int
    """How often the letter had been replayed when this was decided."""
    generation: int = 0
    """Number of the replay; one with a number that was handled is not handled again (I12)."""
    batch: str
    """What was decided at once."""
    at: datetime
    buried: str = ""
    """``choreo-dlq-time`` of the letter, which tells apart equal messages on MQTT."""
    forced: bool = False
    """Handle it although the event is done, or was replayed too often."""
    behind: Behind | None = None
    """What was replayed at the same time and comes before it, under one key at one handler."""
    by: str = ""
    note: str = ""
    """Why it was dropped; the id of the corrected event; the topic it was sent to."""


@dataclass(slots=True, eq=False, kw_only=True)
class Replayed(Delivery):
    """A replay as the service met the message first, to be settled where it lies now.

    Topic, key, headers and body are the original's; stream, position and epoch are the replay's.
    """

    letter: str
    handler: str | None
    """The handler that failed; None if none could be found for it."""
    generation: int
    forced: bool
    first_failed: datetime
    behind: Behind | None = None
    """What it is not to be handled without, if that fails again."""
    origin: tuple[str, int] = field(default=("", 0))
    """Stream and position of the original."""


def replay_topic(service: str) -> str:
    """Name the replay topic of a service on brokers without topic levels."""
    return f"choreo.replay.{service}"


def is_replay_topic(topic: str) -> bool:
    """Say whether *topic* holds replays, or what else desks decide."""
    return topic.startswith(("choreo.replay.", "choreo/replay/", "choreo.desk.", "choreo/desk/"))


def replay_prefix(service: str, capabilities: Capabilities) -> str:
    """Tell how the topics of a service's replays begin; only its own begin so."""
    return f"choreo/replay/{service}/" if capabilities.topic_levels else replay_topic(service)


def replay_filter(service: str, capabilities: Capabilities, *, kept: bool = False) -> TopicFilter:
    """Tell where a service's replays are found; those *kept* on MQTT are for the desk only."""
    if capabilities.topic_levels:
        return TopicFilter(f"choreo/replay/{service}/+", retained=kept and capabilities.retained)
    return TopicFilter(replay_topic(service))


def decided(letter: Message, decision: Decision, topic: str, capabilities: Capabilities) -> Message:
    """Build the record of *decision*: with the whole letter if it is a replay, else a note."""
    name = f"{topic}{decision.letter}" if capabilities.topic_levels else topic
    own = _headers(decision)
    kept = capabilities.retained
    if decision.action is not Action.REPLAY:
        return Message(name, NOTE, decision.letter.encode(), own, retain=kept)
    return Message(name, letter.body, letter.key, [*letter.headers, *own], retain=kept)


def without_decision(message: Message) -> list[Header]:
    """Tell the headers of *message* without those that a decision put behind them."""
    marks = [place for place, (name, _) in enumerate(message.headers) if name == MARK]
    if not marks:
        return list(message.headers)
    last = marks[-1]
    behind = [each for each in message.headers[last:] if not each[0].startswith(PREFIX)]
    return [*message.headers[:last], *behind]


def read_decision(message: Message) -> Decision:
    """Read what was decided; raise DecodeError for what is no record of a desk."""
    marks = [place for place, (name, _) in enumerate(message.headers) if name == MARK]
    found = {
        name.removeprefix(PREFIX): value.decode("utf-8", "replace")
        for name, value in (message.headers[marks[-1] :] if marks else ())
        if name.startswith(PREFIX) and value is not None
    }
    try:
        return Decision(
            letter=found["letter"],
            action=Action(found["action"]),
            edition=_count(found["edition"]),
            generation=_count(found["generation"]),
            batch=found["batch"],
            at=parse_rfc3339(found["time"]),
            buried=found.get("buried", ""),
            forced=found.get("forced") == "true",
            behind=_behind(found),
            by=found.get("by", ""),
            note=found.get("note", ""),
        )
    except (KeyError, ValueError) as error:
        raise DecodeError(f"a message on {message.topic!r} is no decision of a desk") from error


def _headers(decision: Decision) -> list[Header]:
    texts: Sequence[tuple[str, str]] = (
        ("letter", decision.letter),
        ("action", decision.action),
        ("edition", str(decision.edition)),
        ("generation", str(decision.generation)),
        ("batch", decision.batch),
        ("time", rfc3339(decision.at)),
        ("buried", decision.buried),
        ("forced", "true" if decision.forced else ""),
        ("by", decision.by),
        ("note", decision.note),
    )
    own: list[Header] = [(f"{PREFIX}{name}", _cut(legible(text))) for name, text in texts if text]
    if decision.behind is not None:  # names must be as they are, or they name nothing
        parts = zip(BEHIND, decision.behind, strict=True)
        own += [(f"{PREFIX}{name}", str(part).encode()) for name, part in parts]
    return own


def _behind(found: Mapping[str, str]) -> Behind | None:
    source, identity, generation = (found.get(name) for name in BEHIND)
    if source is None or identity is None or generation is None:
        return None
    return Behind(source, identity, _count(generation))


def _count(text: str) -> int:
    number = parse_count(text)
    if number is None:
        raise ValueError(f"{text[:20]!r} is no count")
    return number


def _cut(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore").encode()
