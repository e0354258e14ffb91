"""Where an event stands in its stream: read from its envelope, or from its payload as declared."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from choreo.envelope import Envelope
from choreo.errors import CodecError
from choreo.event import Event, event_type
from choreo.gaps import LARGEST
from choreo.reason import Reason
from choreo.registry.port import fetching
from choreo.store.streams import Advance, StreamKey

DIGITS = re.compile(r"[0-9]{1,40}", re.ASCII)
NO_NUMBER = LARGEST + 1
"""Stands for a text that is no number: further than any stream goes (R7)."""

Number = Callable[[Envelope], int | None]
"""Reads an event's number; None for one that has none."""


@dataclass(slots=True, eq=False)
class Numbered:
    """The place of one handler's share of an event in its stream, and what became of it."""

    stream: StreamKey
    epoch: int
    number: int
    life: int = 0
    """In which life of its stream it was released; 0 while it is held back."""
    step: Advance | None = None
    """The move of its stream that is still to be written with its end."""
    past: Reason | None = None
    """Why it is given up, unless the inbox knows it, once it is its turn."""
    overtaken: bool = False
    """Its stream does not stand where it was believed to: judge it anew."""
    unasked: bool = False
    """Others have moved its stream since it came: they may have parked what is before it."""


def number_reader(event: type[Event], decode: Callable[[Envelope], Event]) -> Number:
    """Compose what reads the number of *event*: its attribute, else the field it declares."""
    declared = event_type(event)
    field = None if declared.numbered else declared.sequence

    def read(envelope: Envelope) -> int | None:
        if envelope.sequence is not None:
            return parse(envelope.sequence)
        if field is None:
            return None
        try:
            value: object = getattr(decode(envelope), field)
        except CodecError:
            return None  # its attempt will say so
        return value if isinstance(value, int) and 0 <= value <= LARGEST else NO_NUMBER

    return read


def numbered(handler: int, read: Number, envelope: Envelope) -> Numbered | None:
    """Place an event in its stream; None for one without a number."""
    number = read(envelope)
    if number is None:
        return None
    epoch = 0 if envelope.stream_epoch is None else parse(envelope.stream_epoch)
    if epoch == NO_NUMBER:
        epoch, number = 0, NO_NUMBER
    stream = envelope.stream_id
    if stream is None and envelope.sequence is None:
        stream = envelope.key  # the number of the payload counts within the key
    return Numbered((handler, envelope.source, stream or ""), epoch, number)


async def placed(handler: int, read: Number, envelope: Envelope) -> Numbered | None:
    """Place an event in its stream, as ``numbered`` does, and fetch its schema first if need be.

    Raises RegistryError while the registry cannot tell.
    """
    return await fetching(partial(numbered, handler, read, envelope))


def strayed(order: Numbered) -> str:
    """Say why an event has no place in its stream."""
    if order.number == NO_NUMBER:
        return "its number or its epoch is none: both are decimal digits, up to 2**63 - 2"
    return (
        f"number {order.number} is further beyond where its stream stands than Gaps(max_jump=...)"
        " allows"
    )


def parse(text: str) -> int:
    """Read a number in decimal digits; NO_NUMBER for anything else."""
    if not DIGITS.fullmatch(text):
        return NO_NUMBER
    return min(int(text), NO_NUMBER)
