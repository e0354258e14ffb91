"""Envelopes of the plain kind, read in one pass: what has been seen to be legal is legal again.

Theory of operation.  Nearly every message is as its producer's last one was: the same header names,
source, type and content type, a time of the same second, and otherwise texts of visible ASCII.  For
such a one every check that an envelope must pass is made here, by looking up what has passed before
and by one look at the rest; attributes become text when somebody asks for them.  Whatever is not
plain is not judged here at all: it is read the long way, which then teaches what it found legal.
What does all this is source that is made for one layout of headers (``unrolled``).
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from choreo.cloudevents.unrolled import FORM, TO_FORM, TO_FRACTION, Read, Shape, unrolled
from choreo.envelope import Envelope
from choreo.message import Header
from choreo.timestamps import parse_rfc3339

MAX_WORDS = 1024
"""Combinations of what is looked up that are remembered; making up more takes no memory of ours."""
MAX_WORDS_BYTES = 512
"""Bytes of the longest of them."""
MAX_SECONDS = 4096
"""Seconds remembered as moments that exist."""

LOOKED_UP = ("specversion", "source", "type", "datacontenttype", "hopcount")
"""Attributes whose values repeat: they are judged once, together."""

TRACE = ("traceparent", "tracestate", "baggage")
"""Fields that headers of their own tell."""

Values = Sequence[bytes | None]
Told = tuple[str, str, str, int]
"""Source, type, content type and length of the chain of causes."""
Page = dict[Values, Told]


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
        "_names",
        "_page",
        "_read",
        "_room",
        "_shape",
        "_texts",
    )

    def __init__(
        self,
        names: Sequence[str],
        places: Mapping[str, int],
        homes: Mapping[str, str],
        headers: Mapping[str, Callable[[Values], object]],
        room: int,
        known: Known,
    ) -> None:
        """Read attributes from their *places* among *names* into the fields that are their *homes*.

        *headers* reads those fields that are no attributes; *room* is how many bytes all values of
        attributes may have together.
        """
        looked_up = tuple(places[name] for name in LOOKED_UP if name in places)
        self._looked_up: itemgetter[Any] = itemgetter(*looked_up)
        told = {*LOOKED_UP, "time", "id"}
        rest = [place for name, place in places.items() if name not in told]
        self._texts = {field: places[name] for field, name in homes.items() if name in places}
        taken = {"specversion", "hopcount", *homes.values()}
        self._extensions = [(name, at) for name, at in places.items() if name not in taken]
        self._shape = Shape(
            count=len(names),
            looked_up=looked_up,
            time=places.get("time"),
            rest=(places["id"], *rest),
            traced="traceparent" in headers,
            extended=bool(self._extensions),
        )
        self._names = names
        self._headers = headers
        self._room = room - MAX_WORDS_BYTES - 2 * len(FORM) - len(places)
        self._known = known
        self._page = known.page()
        self._read: Read | None = None

    @property
    def read(self) -> Read:
        """What reads such messages; made for the first of them that could be read so."""
        if self._read is None:
            self._read = unrolled(self._shape)(
                plain=self,
                new=PlainEnvelope,
                names=self._names,
                page=self._page,
                room=self._room,
                known=self._known,
                others=self._others,
                trace=self._trace,
            )
        return self._read

    def learn(self, values: Values, envelope: Envelope) -> None:
        """Remember what is legal in *envelope*, which was read from *values* the long way."""
        looked_up = self._looked_up(values)
        if sum(map(len, looked_up)) <= MAX_WORDS_BYTES and looked_up not in self._page:
            told = (envelope.source, envelope.type, envelope.content_type, envelope.hops)
            self._known.note(self._page, looked_up, told)

    def field(self, name: str, headers: Sequence[Header]) -> object:
        """Tell the value of a field that nobody has asked for yet."""
        read = self._headers.get(name)
        if read is not None:
            return read([value for _, value in headers])
        place = self._texts.get(name)
        value = None if place is None else headers[place][1]
        return None if value is None else value.decode()

    def _trace(self, values: Values) -> list[object]:
        return [self._headers[name](values) for name in TRACE]

    def _others(self, values: Values) -> dict[str, str]:
        return {name: (values[place] or b"").decode() for name, place in self._extensions}


class PlainEnvelope(Envelope):
    """An envelope most of whose attributes become text when somebody asks for them first."""

    __slots__ = ("headers", "plain")

    plain: Plain
    headers: Sequence[Header]
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
            value = envelope.plain.field(name, envelope.headers)
            put(envelope, value)
            return value

    return property(read, put, slot.__delete__)


AT_ONCE = frozenset(("id", "source", "type", "content_type", "hops", "data", "extensions", *TRACE))
"""What is filled in when an envelope is read, so that it needs no second look."""

for _name in Envelope.__slots__:
    if _name not in AT_ONCE:
        setattr(PlainEnvelope, _name, _late(_name))
