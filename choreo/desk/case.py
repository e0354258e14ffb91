"""A case: one dead letter with all that is known of it, light enough to hold a hundred thousand."""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from choreo.broker import Binding, Capabilities
from choreo.cloudevents import EnvelopeReader
from choreo.dead_letter import original, read_dead_letter
from choreo.desk.conventions import Told, moment, read, without
from choreo.desk.fingerprint import fingerprint
from choreo.envelope import Envelope
from choreo.errors import DecodeError
from choreo.message import Delivery, Message
from choreo.replay import Action, Decision

CHOREO = "choreo"
UNKNOWN = "unknown"
MAX_ERROR = 512
"""Characters of an error's text that a case keeps."""
LETTER_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
"""What choreo writes; anything else would name topics of somebody else's choosing (T10)."""


class State(StrEnum):
    """What has been decided about a letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    SENT = "sent"
    """Sent to a topic that was named."""
    EDITED = "edited"
    """A corrected event was handled in its place."""
    DROPPED = "dropped"


STATES: Mapping[Action, State] = {
    Action.REPLAY: State.REPLAYED,
    Action.SEND: State.SENT,
    Action.EDIT: State.EDITED,
    Action.DROP: State.DROPPED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One letter: where it lies, what it says, and what was decided about it."""

    id: str
    topic: str
    """Where the letter lies, and not the message in it; so are stream and position."""
    stream: str
    position: int
    told: Told
    fingerprint: str
    """Names what went wrong, the same for all that went wrong alike."""
    replays: int = 0
    buried_text: str = ""
    """When it was buried, to the letter."""
    kind: str | None = None
    event_id: str | None = None
    source: str | None = None
    key: str | None = None
    lane: Hashable = None
    """What must be replayed in order."""
    size: int = 0
    problem: str | None = None
    """Why the message in it cannot be restored."""
    ours: bool = False
    """The service that is looked at has buried it."""
    decision: Decision | None = None
    sent: int = 0
    """Highest number of a replay of it that was sent."""

    @property
    def state(self) -> State:
        """Tell what was decided."""
        return State.OPEN if self.decision is None else STATES[self.decision.action]

    @property
    def replayable(self) -> bool:
        """Say whether the handler that failed can be given it again."""
        return self.ours and self.problem is None

    @property
    def since(self) -> datetime | None:
        """When it first failed, as far as anybody tells."""
        return self.told.first_failed or self.told.buried


class CaseReader:
    """Makes cases of what lies on one broker's dead-letter topics."""

    def __init__(self, capabilities: Capabilities, service: str | None = None) -> None:
        self._service = service
        self._reader = EnvelopeReader(capabilities.binding)
        self._native_key = capabilities.binding is not Binding.MQTT

    def read(self, found: Delivery) -> Case:
        """Make the case of *found*; never raises, whatever it holds."""
        letter = read_dead_letter(found)
        told = told_by(found)
        problem: str | None = None
        message: Message = found
        try:
            message = restored(found, told)
        except DecodeError as error:
            problem = str(error)
        envelope = self.envelope(message)
        known = letter is not None and told.convention == CHOREO
        kind = envelope.type if envelope else None
        about = (kind, told.reason, told.handler, told.topic)
        return Case(
            id=letter.id if letter is not None and known else _identity(found),
            topic=found.topic,
            stream=found.stream,
            position=found.position,
            told=_light(told),
            fingerprint=fingerprint(told.error_type, told.error, told.stack, *about),
            replays=letter.replays if letter is not None and known else 0,
            buried_text=_buried_text(found) if known else "",
            kind=kind,
            event_id=envelope.id if envelope else None,
            source=envelope.source if envelope else None,
            key=self._key(message, envelope),
            lane=self._lane(message, told, envelope),
            size=_size(found),
            problem=problem,
            ours=known and told.service == self._service,
        )

    def envelope(self, message: Message) -> Envelope | None:
        """Find the envelope of *message*, if it has one that can be read."""
        try:
            return self._reader.read(as_delivery(message))
        except DecodeError:
            return None
        except Exception:  # noqa: BLE001 -- whatever bytes can make a reader do must not hide the rest
            return None

    def _key(self, message: Message, envelope: Envelope | None) -> str | None:
        if self._native_key and message.key is not None:
            return message.key.decode("utf-8", "backslashreplace")
        return envelope.key if envelope else None

    def _lane(self, message: Message, told: Told, envelope: Envelope | None) -> Hashable:
        """Name what the service keeps in order: topic and key, else the stream."""
        key = message.key if self._native_key else envelope.key if envelope else None
        if key is not None:
            return (told.topic, key)
        return (told.topic, told.stream if self._native_key else None, None)


def restored(found: Message, told: Told) -> Message:
    """Restore the message in a letter of any convention; raise DecodeError for a spoilt one."""
    if told.convention == CHOREO:
        return original(found)
    headers = without(found.headers, told.convention)
    return Message(told.topic or found.topic, found.body, found.key, headers)


def as_delivery(message: Message) -> Delivery:
    """Give *message* to who reads deliveries."""
    return Delivery(message.topic, message.body, message.key, message.headers)


def judged(case: Case, decision: Decision | None, sent: int) -> Case:
    """Add to *case* what was last decided about it."""
    return replace(case, decision=decision, sent=max(sent, case.replays))


def told_by(found: Delivery) -> Told:
    """Read whatever *found* says about the message in it."""
    letter = read_dead_letter(found)
    if letter is None or LETTER_ID.fullmatch(letter.id) is None:
        told = read(found) or Told(convention=UNKNOWN)
        return replace(told, buried=moment(found.timestamp))
    return Told(
        convention=CHOREO,
        topic=letter.topic,
        stream=letter.stream,
        position=letter.position,
        service=letter.service,
        handler=letter.handler,
        reason=letter.reason,
        error_type=letter.error_type,
        error=letter.error,
        stack=letter.stack,
        attempts=letter.attempts,
        first_failed=letter.first_failed,
        buried=letter.buried,
    )


def _light(told: Told) -> Told:
    """Keep what is needed to choose: a hundred thousand cases are held at once."""
    return replace(told, stack=None, error=None if told.error is None else told.error[:MAX_ERROR])


def _identity(found: Delivery) -> str:
    """Name a letter that has no id of its own by where it lies, or by what it is on MQTT."""
    name = f"{found.topic}\0{found.stream}\0{found.position}"
    if found.retain:
        name = found.topic
    return sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _buried_text(found: Message) -> str:
    return next(
        (
            (value or b"").decode("ascii", "replace")
            for name, value in reversed(found.headers)
            if name == "choreo-dlq-time"
        ),
        "",
    )


def _size(found: Message) -> int:
    return len(found.body or b"") + sum(len(n) + len(v or b"") for n, v in found.headers)
