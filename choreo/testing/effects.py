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
    for message in record.messages:
        if not is_dead_letter_topic(message.topic):
            envelope = read(message)
            if envelope is not None:
                told["published", envelope.source, envelope.id] = f"published {shown(envelope)}"
            continue
        letter = read_dead_letter(message)
        if letter is not None:
            envelope = read(original(message))
            by = (letter.service, letter.handler or "*")
            event = (envelope.source, envelope.id) if envelope else (letter.id,)
            what = shown(envelope) if envelope else "what nobody can read"
            told["dead", *by, *event] = f"{'.'.join(by)} gave up {what}: {letter.reason.value}"
    for share, (outcomes, envelope) in _ends(record).items():
        # What is only ever a duplicate was handled by a process that died before it told.
        untold = outcomes == {Outcome.DUPLICATE} and ("dead", *share) not in told
        if untold or Outcome.HANDLED in outcomes:
            told["handled", *share] = f"{'.'.join(share[:2])} handled {shown(envelope)}"
    effects = Counter(told.values())
    # What is told of the outside counts each time: nothing there takes it back.
    effects.update(scrubbed(f"observed {text} {key}") for text, key in record.observations)
    return effects


def _ends(record: Record) -> dict[tuple[str, ...], tuple[set[Outcome], Envelope]]:
    """Gather how each handler's share of each event has ended, as often as it did."""
    ends: dict[tuple[str, ...], tuple[set[Outcome], Envelope]] = {}
    for end in record.ends:
        if end.envelope is not None and end.outcome is not Outcome.DROPPED:
            share = (end.service, end.handler, end.envelope.source, end.envelope.id)
            ends.setdefault(share, (set(), end.envelope))[0].add(end.outcome)
    return ends


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
