"""Messages of one kind, written without an envelope in between.

Source, type and content type of such messages were found legal once, the time is of our own making,
and what is left are a few texts of visible ASCII, which one look judges together.  Whatever is not
so is judged and written the long way, as an envelope.
"""

from collections.abc import Callable, Mapping

from choreo.cloudevents.attributes import TO_VISIBLE
from choreo.message import Header, Message

HOPS = tuple(str(number).encode() for number in range(65))
MAX_SOURCES = 1024
"""So many sources of causes are remembered, of at most so many bytes each."""
MAX_SOURCE_BYTES = 512

Lineage = tuple[str, str | None, str | None, int]
"""What an event says about where it comes from.

The ids of its conversation and of its cause, the source of that where it is not the event's own,
and the hops. It is made for every event, and what has names takes four times as long to make.
"""

Stencil = Callable[[str, bytes | None, str | None, str, str, Lineage], Message | None]
"""Writes topic, payload, key, id, time and lineage; None for what is not plain, be it legal or not.

The time is as ``rfc3339`` writes it.
"""


class Kind:
    """Writes messages of one kind, of which it knows what they have in common."""

    __slots__ = ("_fixed", "_hops", "_keyed", "_moment", "_names", "_room", "_sources", "_time")

    def __init__(
        self,
        head: Header,
        fixed: tuple[Header, Header, Header],
        names: Mapping[str, str],
        room: int,
        *,
        keyed: bool,
    ) -> None:
        """Write *head* before the id and *fixed* behind it, the rest under *names*.

        The texts may have *room* characters together; the message has a key only if *keyed*.
        """
        self._fixed = (head, *fixed)
        varied = ("id", "time", "partitionkey", "correlationid", "causationid")
        id_, time_, key_, correlation_, causation_ = (names[name] for name in varied)
        self._names = (id_, time_, key_, correlation_, causation_)
        self._hops: tuple[Header, ...] = tuple((names["hopcount"], count) for count in HOPS)
        # A text that is said three times is looked at once; the source of the cause is no part.
        self._room = room // 3 - MAX_SOURCE_BYTES
        self._sources = _Sources(names["causationsource"])
        self._keyed = keyed
        self._time = ""
        self._moment: Header = (time_, b"")

    def write(
        self,
        topic: str,
        data: bytes | None,
        key: str | None,
        identity: str,
        time: str,
        lineage: Lineage,
    ) -> Message | None:
        """Write one message, if it is plain."""
        correlation, causation, source, hops = lineage
        own, led = correlation is identity, causation == correlation
        text = f"{identity}{key or ''}{'' if own else correlation}{'' if led else causation or ''}"
        if (
            not (identity and correlation and key != "" != causation and 0 <= hops < len(HOPS))
            or not text.isascii()
            or len(text) > self._room
            or (raw := text.encode()).translate(TO_VISIBLE) != raw
        ):
            return None
        head, first, second, third = self._fixed
        id_, time_, key_, correlation_, causation_ = self._names
        if time is not self._time:
            self._time, self._moment = time, (time_, time.encode())
        named, native = identity.encode(), None
        headers = [head, (id_, named), first, second, third, self._moment]
        if key is not None:
            native = key.encode()
            headers.append((key_, native))
        correlated = named if own else correlation.encode()
        headers.append((correlation_, correlated))
        if causation is not None:
            headers.append((causation_, correlated if led else causation.encode()))
        if source is not None:
            if (told := self._sources[source]) is None:
                return None
            headers.append(told)
        if hops:
            headers.append(self._hops[hops])
        return Message(topic, data, native if self._keyed else None, headers)


class _Sources(dict[str, Header | None]):
    """The header of each source of causes; None for what is not plain, which is not remembered."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, source: str) -> Header | None:
        if not source or not source.isascii() or len(source) > MAX_SOURCE_BYTES:
            return None
        raw = source.encode()
        if raw.translate(TO_VISIBLE) != raw:
            return None
        if len(self) >= MAX_SOURCES:
            self.clear()
        found = self[source] = (self._name, raw)
        return found
