"""Headers of envelopes of the plain kind: what was legal once is written again as it was.

The counterpart of ``choreo.cloudevents.plain``: source, type and content type of what one service
writes repeat, and so does the second of its time; the rest is visible ASCII.  Whatever is not so is
judged and written the long way.
"""

from choreo.broker import Binding
from choreo.cloudevents.attributes import SPEC_VERSION, TO_VISIBLE, Limits
from choreo.cloudevents.headers import CONTENT_TYPE
from choreo.cloudevents.plain import MAX_WORDS, MAX_WORDS_BYTES, Known
from choreo.cloudevents.spelling import OWN
from choreo.cloudevents.stencil import HOPS, Kind, Stencil
from choreo.cloudevents.unrolled import FORM, TO_FORM, TO_FRACTION
from choreo.envelope import Envelope
from choreo.message import Header


class PlainWriter:
    """Writes the attributes of plain envelopes for one kind of transport."""

    def __init__(self, binding: Binding, limits: Limits) -> None:
        names = {name: f"{binding.value}{name}" for name in OWN}
        names["datacontenttype"] = CONTENT_TYPE
        self._names = names
        self._specversion: Header = (f"{binding.value}specversion", SPEC_VERSION.encode())
        self._id, self._time = names["id"], names["time"]
        self._key, self._hops = names["partitionkey"], names["hopcount"]
        self._correlation, self._causation = names["correlationid"], names["causationid"]
        self._cause = names["causationsource"]
        own = sum(map(len, (self._specversion[0], *names.values())))
        self._room = limits.attribute_bytes - own - MAX_WORDS_BYTES - len(FORM) - len(names)
        if limits.attributes < len(OWN):
            self._room = 0
        self._known = Known()
        self._fixed: dict[tuple[str, str, str], tuple[Header, Header, Header]] = {}
        self._keyed = binding is not Binding.MQTT

    def headers(self, envelope: Envelope) -> list[Header] | None:
        """Write the headers of what is plain; None for all else, be it legal or not."""
        fixed = self._fixed.get((envelope.source, envelope.type, envelope.content_type))
        hops, time = envelope.hops, envelope.time
        if fixed is None or time is None or not 0 <= hops < len(HOPS) or _rare(envelope):
            return None
        try:
            moment, varied = time.encode(), self._varied(envelope)
        except UnicodeEncodeError:
            return None
        known = self._known
        if (
            moment[:TO_FRACTION] not in known.seconds or moment.translate(TO_FORM) != FORM
        ) and not known.exists(moment):
            return None
        values = [value for _, value in varied]
        raw = b"".join(values)
        if not all(values) or raw.translate(TO_VISIBLE) != raw or len(raw) > self._room:
            return None
        headers: list[Header] = [self._specversion, varied[0], *fixed, (self._time, moment)]
        headers += varied[1:]
        if hops:
            headers.append((self._hops, HOPS[hops]))
        return headers

    def stencil(self, source: str, kind: str, media: str) -> Stencil | None:
        """Compose what writes messages of one kind; None until one has been written the long way.

        Whatever it does not write itself it leaves to ``headers``.
        """
        fixed = self._fixed.get((source, kind, media))
        if fixed is None:
            return None
        found = Kind(self._specversion, fixed, self._names, self._room, keyed=self._keyed)
        return found.write

    def _varied(self, envelope: Envelope) -> list[tuple[str, bytes]]:
        """Write what differs from event to event."""
        found = [(self._id, envelope.id.encode())]
        if envelope.key is not None:
            found.append((self._key, envelope.key.encode()))
        if envelope.correlation_id is not None:
            found.append((self._correlation, envelope.correlation_id.encode()))
        if envelope.causation_id is not None:
            found.append((self._causation, envelope.causation_id.encode()))
        if envelope.causation_source is not None:
            found.append((self._cause, envelope.causation_source.encode()))
        return found

    def learn(self, envelope: Envelope) -> None:
        """Remember what was legal in *envelope*, which was written the long way."""
        source, kind, media = words = (envelope.source, envelope.type, envelope.content_type)
        if sum(map(len, words)) <= MAX_WORDS_BYTES // 4 and words not in self._fixed:
            if len(self._fixed) >= MAX_WORDS:
                self._fixed.clear()
            names = self._names
            self._fixed[words] = (
                (names["source"], source.encode()),
                (names["type"], kind.encode()),
                (names["datacontenttype"], media.encode()),
            )


def _rare(envelope: Envelope) -> bool:
    """Say whether it has an attribute that few have."""
    return (
        envelope.sequence is not None
        or envelope.stream_id is not None
        or envelope.stream_epoch is not None
        or envelope.subject is not None
        or envelope.dataschema is not None
        or envelope.idempotency_key is not None
        or bool(envelope.extensions)
    )
