"""Foreign records: the declarations of events compiled, and read by them as envelopes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

from pydantic import JsonValue
from pydantic_core import from_json

from choreo.broker import Binding
from choreo.clock import Clock
from choreo.cloudevents.attributes import legal_text, legal_uri_reference
from choreo.cloudevents.pointer import ABSENT, Absent, find, parse_pointer
from choreo.envelope import JSON, Envelope
from choreo.errors import ConfigurationError, MalformedEnvelope
from choreo.event import Event, EventType
from choreo.foreign import BrokerTime, Field, Foreign, Header, Key, Position
from choreo.message import Delivery
from choreo.timestamps import parse_rfc3339, rfc3339

MAX_TOPICS = 1024
"""Filled topics whose rules are remembered."""
SEQUENCE_DIGITS = 20
"""Every 64-bit number fits, and padded numbers compare as text the way they do as numbers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_MAX_TEXT = 1024


class ForeignRules:
    """The foreign declarations of some events, by topic."""

    def __init__(self, binding: Binding, events: Iterable[type[Event]], clock: Clock) -> None:
        """Compile what *events* declare; raise ConfigurationError for what cannot work."""
        self._clock = clock
        self._rules: list[_Rule] = []
        for event in dict.fromkeys(events):
            declared = event.__event__
            if declared is not None and declared.foreign is not None:
                self._rules.append(_compile(event, declared, declared.foreign, binding))
        self._rules.sort(key=lambda rule: rule.foreign.type is None)
        self._topics: dict[str, list[_Rule]] = {}

    def claims(self, delivery: Delivery) -> bool:
        """Say whether a declaration for this topic reads a header that the record has.

        Such a header may be spelt like an attribute and still not be one.
        """
        names = {name for name, _ in delivery.headers}
        return any(not names.isdisjoint(rule.headers) for rule in self._for(delivery.topic))

    def read(self, delivery: Delivery) -> Envelope | None:
        """Read *delivery* as the first declaration that fits it; None if there is none.

        Raises MalformedEnvelope for a record that fits and lacks what its declaration promises.
        """
        rules = self._for(delivery.topic)
        if not rules:
            return None
        record = _Record(delivery)
        for rule in rules:
            if rule.fits(record):
                return rule.read(record, self._clock)
        return None

    def _for(self, topic: str) -> list["_Rule"]:
        rules = self._topics.get(topic)
        if rules is None:
            rules = [rule for rule in self._rules if rule.serves(topic)] if self._rules else []
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            self._topics[topic] = rules
        return rules


@dataclass(slots=True, eq=False)
class _Record:
    """One foreign record; its body is parsed when first asked for, once."""

    delivery: Delivery
    parsed: JsonValue | Absent = ABSENT

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.delivery.headers if key == name]
        if len(found) > 1:
            raise MalformedEnvelope(f"the header {name!r} of a foreign record is repeated")
        return _utf8(found[0], f"the header {name!r}") if found else None

    def body(self) -> JsonValue:
        if isinstance(self.parsed, Absent):
            try:
                parsed: JsonValue = from_json(self.delivery.body or b"", allow_inf_nan=False)
            except (ValueError, RecursionError):
                raise MalformedEnvelope("a foreign record that is no JSON") from None
            self.parsed = parsed
            return parsed
        return self.parsed

    def value(self, locator: Header | Field) -> JsonValue | Absent:
        """Find a value; ABSENT if it is not there."""
        if isinstance(locator, Header):
            text = self.header(locator.name)
            return ABSENT if text is None else text
        return find(self.body(), parse_pointer(locator.pointer))


@dataclass(frozen=True, slots=True)
class _Rule:
    declared: EventType
    foreign: Foreign
    fields: Mapping[str, str]
    """Fields of the topic, and the member of the JSON body that each of them is."""

    @property
    def headers(self) -> set[str]:
        """Names of the headers that this declaration reads."""
        parts = (self.foreign.id, self.foreign.type, self.foreign.time, self.foreign.sequence)
        return {part.name for part in parts if isinstance(part, Header)}

    def serves(self, topic: str) -> bool:
        own = self.declared.topic
        return topic in (own.flat, own.template) or bool(own.fields and own.values(topic))

    def fits(self, record: _Record) -> bool:
        if self.foreign.type is None:
            return True
        return record.value(self.foreign.type) == self.foreign.equals

    def read(self, record: _Record, clock: Clock) -> Envelope:
        delivery = record.delivery
        missing = self._missing(record)
        key = self._key(record, missing)
        sequence = self._sequence(record)
        return Envelope(
            id=self._id(record),
            source=self.foreign.source or f"urn:choreo:foreign:{quote(delivery.topic)}",
            type=self.declared.type,
            data=_filled(delivery.body, missing),
            content_type=self.foreign.content_type,
            time=self._time(record, clock),
            key=key,
            sequence=sequence,
            stream_id=key if sequence else None,
            foreign=True,
        )

    def _missing(self, record: _Record) -> dict[str, str]:
        """Tell the members that the topic knows and the JSON body lacks."""
        if not self.fields or self.foreign.content_type != JSON:
            return {}
        filled = self.declared.topic.values(record.delivery.topic)
        if not filled or record.delivery.body is None:
            return {}
        body = record.body()
        if not isinstance(body, dict):
            raise MalformedEnvelope("a foreign record that is no JSON object")
        return {
            self.fields[name]: text
            for name, text in filled.items()
            if self.fields[name] not in body
        }

    def _key(self, record: _Record, missing: Mapping[str, str]) -> str | None:
        if record.delivery.key is not None:
            try:
                key = record.delivery.key.decode()
            except UnicodeDecodeError:
                return None
            return key if key and legal_text(key) else None
        if self.declared.key is None or self.foreign.content_type != JSON:
            return None
        value = missing.get(self.declared.key)
        if value is None and record.delivery.body is not None:
            found = find(record.body(), (self.declared.key,))
            value = str(found) if isinstance(found, (str, int)) else None
        return value or None

    def _id(self, record: _Record) -> str:
        locator = self.foreign.id
        delivery = record.delivery
        if isinstance(locator, (Header, Field)):
            return _identity(record.value(locator), "id")
        if isinstance(locator, Key):
            if not delivery.key:
                raise MalformedEnvelope("a foreign record without the key that is its id")
            return _identity(_utf8(delivery.key, "the key"), "id")
        if isinstance(locator, Position):
            return f"{delivery.topic}/{delivery.stream}/{delivery.position}"
        parts = (delivery.topic.encode(), delivery.key, delivery.body)
        named = (b"-" if part is None else b"%d:%b" % (len(part), part) for part in parts)
        return sha256(b"".join(named)).hexdigest()

    def _time(self, record: _Record, clock: Clock) -> str:
        locator = self.foreign.time
        if isinstance(locator, BrokerTime):
            stamp = record.delivery.timestamp
            return rfc3339(clock.now() if stamp is None else _moment(stamp))
        value = record.value(locator)
        if self.foreign.unit is not None:
            return rfc3339(_moment(_number(value) * _UNITS[self.foreign.unit]))
        if not isinstance(value, str):
            raise MalformedEnvelope("a foreign record without the time it should have as text")
        try:
            return rfc3339(parse_rfc3339(value))
        except (ValueError, OverflowError):
            raise MalformedEnvelope("a foreign record with a time that is not RFC 3339") from None

    def _sequence(self, record: _Record) -> str | None:
        if self.foreign.sequence is None:
            return None
        value = record.value(self.foreign.sequence)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.isascii() or not value.isdecimal():
            raise MalformedEnvelope("a foreign record without the sequence number it should have")
        if len(value) > SEQUENCE_DIGITS:
            raise MalformedEnvelope("a foreign record with too long a sequence number")
        return value.zfill(SEQUENCE_DIGITS)


def _compile(event: type[Event], declared: EventType, foreign: Foreign, binding: Binding) -> _Rule:
    where = f"class {event.__name__}(Event, foreign=…)"
    if (foreign.type is None) is not (foreign.equals is None):
        raise ConfigurationError(f"{where}: give 'type' and 'equals' together, or neither")
    if binding is Binding.MQTT and isinstance(foreign.id, (Position, Key)):
        raise ConfigurationError(
            f"{where}: {type(foreign.id).__name__} cannot be the id on MQTT, which has no keys "
            "and no lasting positions: use Header, Field or Digest"
        )
    if foreign.source is not None and not legal_uri_reference(foreign.source):
        raise ConfigurationError(f"{where}: source {foreign.source!r} is no URI reference")
    for locator in (foreign.id, foreign.type, foreign.time, foreign.sequence):
        if not isinstance(locator, Field):
            continue
        if foreign.content_type != JSON:
            raise ConfigurationError(f"{where}: Field looks into JSON, not {foreign.content_type}")
        if parse_pointer(locator.pointer) is None:
            raise ConfigurationError(f"{where}: {locator.pointer!r} is no JSON pointer (RFC 6901)")
    fields = {name: event.model_fields[name].alias or name for name in declared.topic.fields}
    return _Rule(declared, foreign, fields)


def _identity(value: object, what: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT or not legal_text(value):
        raise MalformedEnvelope(f"a foreign record without the {what} it should have")
    return value


def _number(value: object) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise MalformedEnvelope("a foreign record without the number its time should be")


def _moment(seconds: float) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise MalformedEnvelope("a foreign record with a time outside the calendar") from None


def _utf8(value: bytes | None, what: str) -> str:
    if value is None:
        raise MalformedEnvelope(f"a foreign record with {what} without a value")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MalformedEnvelope(f"a foreign record with {what} that is no UTF-8") from None


def _filled(body: bytes | None, missing: Mapping[str, str]) -> bytes | None:
    """Put *missing* in front of the members of a JSON object, whose own text stays as it is."""
    if body is None or not missing:
        return body
    inside = body.lstrip(b" \t\r\n")[1:]
    more = b"" if inside.lstrip(b" \t\r\n")[:1] == b"}" else b","
    return json.dumps(missing).encode()[:-1] + more + inside
