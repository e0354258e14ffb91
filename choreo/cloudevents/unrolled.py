"""What reads plain headers of one shape, as Python source: nothing is left to look for in a loop.

Theory of operation.  Taking pairs apart into as many names as there are costs a quarter of what
collecting names and values in two tuples does, and what is known of the shape before the first
message needs no look at any.  Source is made of numbers alone, and is compiled once for all layouts
of a shape; header names, and what was found legal, are what its function is told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from choreo.cloudevents.attributes import TO_VISIBLE
from choreo.envelope import EMPTY, Envelope
from choreo.message import Header

MAX_SHAPES = 128
"""Shapes whose functions are kept; producers make a few."""

FORM = b"0000-00-00T00:00:00.000000Z"
"""A timestamp as choreo writes it, with a nought for every digit."""
TO_FORM = bytes(0x30 if code in b"0123456789" else code for code in range(256))
TO_FRACTION = FORM.index(b".") + 1

Read = Callable[[Sequence[Header], bytes | None], Envelope | None]
"""Builds the envelope of what is plain; None for all else, be it legal or not."""
Compose = Callable[..., Read]
"""Makes what reads headers of certain names, of what was found legal in such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many headers there are, and where among them is what is needed at once."""

    count: int
    looked_up: tuple[int, ...]
    """Of what is judged together, by looking up what has passed before: three at least."""
    time: int | None
    rest: tuple[int, ...]
    """Of all other attributes: the id first."""
    traced: bool
    """Some of the headers tell of a trace."""
    extended: bool
    """Some of the rest are attributes that have no field of their own."""


_SOURCE = """
def compose(plain, new, names, page, room, known, others, trace):
    {names} = names
    seconds, exists = known.seconds, known.exists
    def read(headers, data):
        if len(headers) != {count}:
            return None
        {pairs} = headers
        if {differs}:
            return None
        told = page.get({looked_up})
        if told is None:
            return None
        {judge_time}
        if not ({all_there}):
            return None
        raw = join({rest})
        if len(raw) > room or raw.translate(TO_VISIBLE) != raw:
            return None
        envelope = blank(new)
        envelope.id = v{id}.decode()
        envelope.source, envelope.type, envelope.content_type, envelope.hops = told
        envelope.data, envelope.plain, envelope.headers = data, plain, headers
        envelope.extensions = {extensions}
        envelope.traceparent, envelope.tracestate, envelope.baggage = {trace}
        return envelope
    return read
"""
_JUDGE_TIME = """if (
            v{at} is None or v{at}[:TO_FRACTION] not in seconds or v{at}.translate(TO_FORM) != FORM
        ) and not exists(v{at}):
            return None"""
_KNOWN = {
    "EMPTY": EMPTY,
    "FORM": FORM,
    "TO_FORM": TO_FORM,
    "TO_FRACTION": TO_FRACTION,
    "TO_VISIBLE": TO_VISIBLE,
    "blank": object.__new__,
    "join": b"".join,
}


@lru_cache(MAX_SHAPES)
def unrolled(shape: Shape) -> Compose:
    """Compile what makes readers of messages of that shape."""
    every = range(shape.count)
    source = _SOURCE.format(
        count=shape.count,
        names=_row("n{0}", every),
        pairs=_row("(n{0}_, v{0})", every),
        differs=" or ".join(f"n{at}_ != n{at}" for at in every),
        looked_up=f"({_row('v{0}', shape.looked_up)})",
        judge_time="" if shape.time is None else _JUDGE_TIME.format(at=shape.time),
        all_there=" and ".join(f"v{at}" for at in shape.rest),
        rest=f"({_row('v{0}', shape.rest)})",
        id=shape.rest[0],
        extensions=f"others(({_row('v{0}', every)}))" if shape.extended else "EMPTY",
        trace=f"trace(({_row('v{0}', every)}))" if shape.traced else "None, None, None",
    )
    names: dict[str, Any] = dict(_KNOWN)
    exec(compile(source, "<plain headers>", "exec"), names)  # noqa: S102 -- numbers only
    return cast("Compose", names["compose"])


def _row(each: str, places: Sequence[int]) -> str:
    return "".join(f"{each.format(at)}, " for at in places)
