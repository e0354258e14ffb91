"""A corrected event in place of one that failed: an id of its own, and the old one as its cause."""

from dataclasses import dataclass, replace
from hashlib import sha256

from choreo.broker import Capabilities
from choreo.cloudevents import EnvelopeWriter
from choreo.dead_letter import original
from choreo.desk.case import Case
from choreo.envelope import Envelope
from choreo.ids import derived
from choreo.letter_id import PREFIX, again_by
from choreo.message import Message
from choreo.packing import BODY, EMPTY, HEADERS, stand_in

SAID_ANEW = frozenset(
    {BODY, EMPTY, HEADERS, f"{PREFIX}traceparent", f"{PREFIX}id", f"{PREFIX}replays"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A letter that was never buried, to be replayed in place of one that was."""

    letter: str
    """Its id."""
    event_id: str
    message: Message


def corrected(
    case: Case, letter: Message, old: Envelope, amended: Envelope, capabilities: Capabilities
) -> Correction:
    """Make the letter of *amended*, which is *old* with another payload and what follows from it.

    Ids are derived from what is corrected and to what, so that the same correction made twice is
    one event. Raises EncodeError for what the transport cannot say.
    """
    content = sha256(amended.data or b"").hexdigest()
    handler = case.told.handler or ""
    event_id = derived(content, old.source, old.id, handler, case.replays)
    new = replace(
        amended,
        id=event_id,
        correlation_id=old.conversation,
        causation_id=old.id,
        causation_source=None,
        hops=old.hops + 1,
    )
    before = original(letter)
    key = before.key if new.key == old.key else (new.key or "").encode() or None
    message = EnvelopeWriter(capabilities.binding).write(new, before.topic, key)
    body, told = stand_in(message.body, capabilities)
    identity = again_by(case.id, event_id)
    own = [
        each for each in letter.headers if each[0].startswith(PREFIX) and each[0] not in SAID_ANEW
    ]
    headers = [*message.headers, *own, (f"{PREFIX}id", identity.encode()), *told]
    return Correction(
        letter=identity,
        event_id=event_id,
        message=Message(letter.topic, body, message.key, headers),
    )
