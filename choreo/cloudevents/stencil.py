"""Messages of one kind, written without an envelope in between.

Source, type and content type of such messages were found legal once, the time is of our own making,
and what is left are a few texts of visible ASCII, which one look judges together.  Whatever is not
so is judged and written the long way, as an envelope.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from choreo.cloudevents.attributes import TO_VISIBLE
from choreo.message import Header, Message

HOPS = tuple(str(number).encode() for number in range(65))


class Lineage(NamedTuple):
    """What an event says about where it comes from."""

    correlation: str
    causation: str | None = None
    source: str | None = None
    """Source of the cause, where it is not the event's own."""
    hops: int = 0


_tuple: Any = tuple
lineage_of = cast(
    "Callable[[tuple[str, str | None, str | None, int]], Lineage]",
    partial(_tuple.__new__, Lineage),
)
"""Makes a lineage, quicker than naming its fields does."""

Stencil = Callable[[str, bytes | None, str | None, str, str, Lineage], Message | None]
"""Writes topic, payload, key, id, time and lineage; None for what is not plain, be it legal or not.

The time is as ``rfc3339`` writes it.
"""


def stencil(
    head: Header, fixed: tuple[Header, ...], names: Mapping[str, str], room: int, *, keyed: bool
) -> Stencil:
    """Compose what writes *head* before the id and *fixed* behind it, the rest under *names*.

    The texts may have *room* characters together; the message has a key only if *keyed*.
    """
    id_, time_, key_ = names["id"], names["time"], names["partitionkey"]
    correlation_, causation_ = names["correlationid"], names["causationid"]
    source_, hops_ = names["causationsource"], names["hopcount"]

    def write(
        topic: str, data: bytes | None, key: str | None, identity: str, time: str, lineage: Lineage
    ) -> Message | None:
        correlation, causation, source, hops = lineage
        text = f"{identity}{correlation}{key}{causation}{source}"
        if (
            not text.isascii()
            or len(text) > room
            or (raw := text.encode()).translate(TO_VISIBLE) != raw
            or not (identity and correlation and 0 <= hops < len(HOPS))
            or "" in (key, causation, source)
        ):
            return None
        named = identity.encode()
        headers = [head, (id_, named), *fixed, (time_, time.encode())]
        native = None
        if key is not None:
            native = key.encode()
            headers.append((key_, native))
        headers.append((correlation_, named if correlation is identity else correlation.encode()))
        if causation is not None:
            headers.append((causation_, causation.encode()))
        if source is not None:
            headers.append((source_, source.encode()))
        if hops:
            headers.append((hops_, HOPS[hops]))
        return Message(topic, data, native if keyed else None, headers)

    return write
