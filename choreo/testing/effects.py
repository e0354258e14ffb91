"""What a world has led to, without what differs from one run to the next."""

import json
import re
from collections import Counter
from collections.abc import Callable

from choreo.dead_letter import is_dead_letter_topic, original, read_dead_letter
from choreo.delivery.job import Outcome
from choreo.envelope import Envelope
from choreo.message import Message
from choreo.testing.record import Record

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|[+-]\d\d:\d\d)?")

Effects = Counter[str]
"""Lines that say what happened to one event each, and how many events it happened to."""


def effects_of(record: Record, read: Callable[[Message], Envelope | None]) -> Effects:
    """Tell what was handled, published and given up, each event once however often it came."""
    told: dict[tuple[str, ...], str] = {}
    for end in record.ends:
        if end.envelope is not None and end.outcome is Outcome.HANDLED:
            share = ("handled", end.service, end.handler, end.envelope.source, end.envelope.id)
            told[share] = f"{end.service}.{end.handler} handled {shown(end.envelope)}"
    for message in record.messages:
        if not is_dead_letter_topic(message.topic):
            envelope = read(message)
            if envelope is not None:
                told["published", envelope.source, envelope.id] = f"published {shown(envelope)}"
            continue
        letter = read_dead_letter(message)
        if letter is not None:
            envelope = read(original(message))
            what = shown(envelope) if envelope else "what nobody can read"
            by = f"{letter.service}.{letter.handler or '*'}"
            told["dead", letter.id] = f"{by} gave up {what}: {letter.reason.value}"
    effects = Counter(told.values())
    # What is told of the outside counts each time: nothing there takes it back.
    effects.update(scrubbed(f"observed {text} {key}") for text, key in record.observations)
    return effects


def shown(envelope: Envelope) -> str:
    """Write an event without ids and moments, which no two runs share."""
    data = envelope.data or b""
    try:
        text = json.dumps(json.loads(data), sort_keys=True)
    except ValueError:
        text = "" if data else "{}"
    return f"{envelope.type} {scrubbed(text)}".rstrip()


def scrubbed(text: str) -> str:
    """Leave out what no two runs share."""
    return MOMENT.sub("<time>", UUID.sub("<uuid>", text)).rstrip()


def differences(expected: Effects, found: Effects) -> list[str]:
    """Tell what is missing and what is too much, a line each."""
    missing = [f"- {line}{_times(count)}" for line, count in (expected - found).items()]
    return [*missing, *(f"+ {line}{_times(count)}" for line, count in (found - expected).items())]


def _times(count: int) -> str:
    return f" (x{count})" if count > 1 else ""
