"""Envelopes of the plain kind, read in one pass: what has been seen to be legal is legal again.

Theory of operation.  Nearly every message is as its producer's last one was: the same header names,
source, type and content type, a time of the same second, and otherwise texts of visible ASCII.  For
such a one every check that an envelope must pass is made here, by looking up what has passed before
and by one look at the rest; attributes become text when somebody asks for them.  Whatever is not
plain is not judged here at all: it is read the long way, which then teaches what it found legal.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from choreo.cloudevents.attributes import TO_VISIBLE
from choreo.envelope import EMPTY, Envelope
from choreo.timestamps import parse_rfc3339

MAX_WORDS = 1024
"""Combinations of what is looked up that are remembered; making up more takes no memory of ours."""
MAX_WORDS_BYTES = 512
"""Bytes of the longest of them."""
MAX_SECONDS = 4096
"""Seconds remembered as moments that exist."""

FORM = b"0000-00-00T00:00:00.000000Z"
"""A timestamp as choreo writes it, with a nought for every digit."""
TO_FORM = bytes(0x30 if code in b"0123456789" else code for code in range(256))
TO_FRACTION = FORM.index(b".") + 1
LOOKED_UP = ("specversion", "source", "type", "datacontenttype", "hopcount")
"""Attributes whose values repeat: they are judged once, together."""

TRACE = ("traceparent", "tracestate", "baggage")
"""Fields that headers of their own tell."""

Values = Sequence[bytes | None]
Told = tuple[str, str, str, int]
"""Source, type, content type and length of the chain of causes."""
Page = dict[Values, Told]

_blank = object.__new__


class Known:
    """What one reader has found legal lately."""

    __slots__ = ("_count", "_pages", "seconds")

    def __init__(self) -> None:
        self._pages: list[Page] = []
        self._count = 0
        self.seconds: set[bytes] = set()
        """Beginnings of timestamps in the form that choreo writes, up to the fraction's point."""

    def __len__(self) -> int:
        """Count the combinations that are remembered."""
        return self._count

    def page(self) -> Page:
        """Open a page for the messages of some header names."""
        self._pages.append({})
        return self._pages[-1]

    def note(self, page: Page, values: Values, told: Told) -> None:
        """Remember on *page* what was found legal together."""
        if self._count >= MAX_WORDS:
            self.forget()
        page[values] = told
        self._count += 1

    def forget(self) -> None:
        """Begin anew."""
        for page in self._pages:
            page.clear()
        self._count = 0

    def exists(self, moment: bytes | None) -> bool:
        """Say whether *moment* is a timestamp that an envelope may have, and remember its second.

        With the same second and any other microseconds it is one, too.
        """
        try:
            parse_rfc3339((moment or b"").decode())
        except ValueError:
            return False
        if moment is not None and moment.translate(TO_FORM) == FORM:
            if len(self.seconds) >= MAX_SECONDS:
                self.seconds.clear()
            self.seconds.add(moment[:TO_FRACTION])
        return True


class Plain:
    """Reads what is plain among messages with certain header names."""

    __slots__ = (
        "_extensions",
        "_headers",
        "_known",
        "_looked_up",
        "_page",
        "_rest",
        "_room",
        "_texts",
        "_time",
        "_untraced",
    )

    def __init__(
        self,
        places: Mapping[str, int],
        homes: Mapping[str, str],
        headers: Mapping[str, Callable[[Values], object]],
        room: int,
        known: Known,
    ) -> None:
        """Read attributes from their *places* into the fields that are their *homes*.

        *headers* reads those fields that are no attributes; *room* is how many bytes all values of
        attributes may have together.
        """
        self._looked_up: itemgetter[Any] = itemgetter(
            *(places[name] for name in LOOKED_UP if name in places)
        )
        self._page = known.page()
        self._time = places.get("time", -1)
        told = {*LOOKED_UP, "time", "id", "correlationid"}
        rest = [place for name, place in places.items() if name not in told]
        second = places.get("correlationid", places["id"])
        self._rest: itemgetter[Any] = itemgetter(places["id"], second, *rest)
        """Id and correlation id, if there is one, and then the others."""
        self._room = room - MAX_WORDS_BYTES - 2 * len(FORM) - len(places)
        self._texts = {field: places[name] for field, name in homes.items() if name in places}
        taken = {"specversion", "hopcount", *homes.values()}
        self._extensions = [(name, at) for name, at in places.items() if name not in taken]
        self._headers = headers
        self._untraced = "traceparent" not in headers
        self._known = known

    def read(self, values: Values, data: bytes | None) -> Envelope | None:
        """Build the envelope of what is plain; None for all else, be it legal or not."""
        # CPython 3.11 looks up a callable attribute the slow way when it is called in one go.
        known, look_up, pick = self._known, self._looked_up, self._rest
        told = self._page.get(look_up(values))
        if told is None:
            return None
        if self._time >= 0:
            moment = values[self._time]
            if (
                moment is None
                or moment[:TO_FRACTION] not in known.seconds
                or moment.translate(TO_FORM) != FORM
            ) and not known.exists(moment):
                return None
        rest = pick(values)
        if not all(rest):
            return None
        raw = b"".join(rest)
        if raw.translate(TO_VISIBLE) != raw or len(raw) > self._room:
            return None
        envelope: PlainEnvelope = _blank(PlainEnvelope)
        envelope.id = rest[0].decode()
        envelope.source, envelope.type, envelope.content_type, envelope.hops = told
        envelope.data = data
        envelope.extensions = self._others(values) if self._extensions else EMPTY
        if self._untraced:
            envelope.traceparent = envelope.tracestate = envelope.baggage = None
        else:
            self._trace(envelope, values)
        envelope.plain, envelope.values = self, values
        return envelope

    def learn(self, values: Values, envelope: Envelope) -> None:
        """Remember what is legal in *envelope*, which was read from *values* the long way."""
        looked_up = self._looked_up(values)
        if sum(map(len, looked_up)) <= MAX_WORDS_BYTES and looked_up not in self._page:
            told = (envelope.source, envelope.type, envelope.content_type, envelope.hops)
            self._known.note(self._page, looked_up, told)

    def field(self, name: str, values: Values) -> object:
        """Tell the value of a field that nobody has asked for yet."""
        read = self._headers.get(name)
        if read is not None:
            return read(values)
        place = self._texts.get(name)
        value = None if place is None else values[place]
        return None if value is None else value.decode()

    def _trace(self, envelope: Envelope, values: Values) -> None:
        for name in TRACE:
            read = self._headers.get(name)
            setattr(envelope, name, None if read is None else read(values))

    def _others(self, values: Values) -> dict[str, str]:
        return {name: (values[place] or b"").decode() for name, place in self._extensions}


class PlainEnvelope(Envelope):
    """An envelope most of whose attributes become text when somebody asks for them first."""

    __slots__ = ("plain", "values")

    plain: Plain
    values: Values
    """Where to read what is not there yet: legal, all of it."""


def _late(name: str) -> property:
    """Make the attribute *name*, read when it is asked for for the first time.

    A ``__getattr__`` for all of them would make every attribute several times as slow to read.
    """
    slot: Any = vars(Envelope)[name]
    get, put = slot.__get__, slot.__set__

    def read(envelope: PlainEnvelope) -> object:
        try:
            return get(envelope)
        except AttributeError:
            value = envelope.plain.field(name, envelope.values)
            put(envelope, value)
            return value

    return property(read, put, slot.__delete__)


AT_ONCE = frozenset(("id", "source", "type", "content_type", "hops", "data", "extensions", *TRACE))
"""What is filled in when an envelope is read, so that it needs no second look."""

for _name in Envelope.__slots__:
    if _name not in AT_ONCE:
        setattr(PlainEnvelope, _name, _late(_name))
