"""Reading envelopes: binary mode by header names, structured by content type, foreign as declared.

Sources: CloudEvents 1.0 with its Kafka and MQTT protocol bindings and its JSON format.
"""

import re
from collections.abc import Iterable
from typing import NoReturn

from choreo.broker import Binding
from choreo.clock import Clock, SystemClock
from choreo.cloudevents.attributes import CONTROLS, DEFAULT_LIMITS, Limits
from choreo.cloudevents.foreign import ForeignRules
from choreo.cloudevents.headers import HeaderPlan
from choreo.cloudevents.layout import Layout
from choreo.cloudevents.plain import Known, Plain, Values
from choreo.cloudevents.structured import is_cloudevents, read_structured
from choreo.cloudevents.unrolled import Read
from choreo.envelope import Envelope
from choreo.errors import MalformedEnvelope, UnsupportedSpecVersion
from choreo.event import Event
from choreo.message import Delivery

MAX_PLANS = 1024
"""Header layouts remembered; a producer has a few, whoever makes up more gets no memory of ours."""
MAX_PLANNED_HEADERS = 256
MAX_PLAIN = 64
"""Those of them that are read in one pass: making what does so takes half a millisecond."""

_VERSION = re.compile(rb"[0-9][0-9.]{0,7}")


class EnvelopeReader:
    """Reads deliveries of one broker as envelopes.

    A record without any required attribute is foreign: read by the declaration of one of *events*
    on its topic, or nobody's. Whatever is wrong with an envelope is a MalformedEnvelope that names
    the attribute and never a value of the payload.
    """

    def __init__(
        self,
        binding: Binding,
        events: Iterable[type[Event]] = (),
        *,
        clock: Clock | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Compile the foreign declarations of *events*; raise ConfigurationError for bad ones."""
        self._binding = binding
        self._limits = limits
        self._foreign = ForeignRules(binding, events, clock or SystemClock())
        self._plans: dict[tuple[str, ...], HeaderPlan] = {}
        self._plain: dict[tuple[str, ...], Plain] = {}
        self._last: Read | None = None
        self._known = Known()
        self._no_headers = HeaderPlan((), binding, limits, self._known)

    def read(self, delivery: Delivery) -> Envelope | None:
        """Read the envelope; None for a foreign record that no event declares.

        Raises MalformedEnvelope or UnsupportedSpecVersion, and nothing else.
        """
        last = self._last
        envelope = None if last is None else last(delivery.headers, delivery.body)
        return envelope or self._unlike_last(delivery)

    def _unlike_last(self, delivery: Delivery) -> Envelope | None:
        """Read what is not as the last one was; those to come are probably like it."""
        if not delivery.headers:
            return self._thoroughly(self._no_headers, (), delivery)
        names, values = zip(*delivery.headers, strict=True)
        plain = self._plain.get(names)
        if plain is not None and plain.read is not self._last:
            read = self._last = plain.read
            envelope = read(delivery.headers, delivery.body)
            if envelope is not None:
                return envelope
        return self._thoroughly(self._plans.get(names) or self._plan(names), values, delivery)

    def _thoroughly(self, plan: HeaderPlan, values: Values, delivery: Delivery) -> Envelope | None:
        """Read what is not plain, and find out what is wrong with it if something is."""
        media = values[plan.content_type] if plan.content_type >= 0 else None
        if media is not None and media != b"application/json" and is_cloudevents(media):
            envelope = read_structured(delivery.body, media, self._limits)
            trace = plan.trace(values)
            envelope.traceparent, envelope.tracestate, envelope.baggage = trace
            return envelope
        layout, pick = plan.layout, plan.pick
        if layout is None or pick is None:
            return self._other(plan, values, delivery)
        if values[plan.specversion] != b"1.0":
            _refuse_version(values[plan.specversion])
        texts = self._texts(layout, pick(values), plan.name_bytes)
        envelope = layout.envelope(texts, delivery.body, plan.trace(values))
        if plan.schema >= 0:
            envelope.schema_header = values[plan.schema]
        if plan.plain is not None:
            plan.plain.learn(values, envelope)
        return envelope

    def _texts(self, layout: Layout, values: Values, name_bytes: int) -> list[str]:
        """Decode all attribute values at once, and one by one only where something looks odd."""
        try:
            raw = b"\0".join(values)  # type: ignore[arg-type]  # a None among them is caught
        except TypeError:
            return _one_by_one(layout, values)
        if len(raw) + name_bytes > self._limits.attribute_bytes:
            raise MalformedEnvelope(
                f"the attributes hold more than {self._limits.attribute_bytes} bytes"
            )
        # Without other control characters than the separators, without an empty value and in ASCII
        # there is nothing that could be illegal.
        if (
            not raw.isascii()
            or len(raw) - len(raw.translate(None, CONTROLS)) != len(values) - 1
            or b"\0\0" in raw
            or not (values[0] and values[-1])
        ):
            return _one_by_one(layout, values)
        return raw.decode("ascii").split("\0")

    def _plan(self, names: tuple[str, ...]) -> HeaderPlan:
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
            self._plain.clear()
            self._last = None
            self._known = Known()
        plan = HeaderPlan(names, self._binding, self._limits, self._known)
        if len(names) <= MAX_PLANNED_HEADERS:
            self._plans[names] = plan
            if plan.plain is not None and len(self._plain) < MAX_PLAIN:
                self._plain[names] = plan.plain
        return plan

    def _other(self, plan: HeaderPlan, values: Values, delivery: Delivery) -> Envelope | None:
        """Deal with headers that make no envelope in binary mode."""
        if plan.specversion >= 0 and values[plan.specversion] != b"1.0":
            _refuse_version(values[plan.specversion])
        if plan.foreign or (plan.specversion < 0 and self._foreign.claims(delivery)):
            # A foreign tombstone says that a key is gone, which no declaration makes an event of.
            envelope = self._foreign.read(delivery) if delivery.body is not None else None
            if envelope is not None:
                trace = plan.trace(values)
                envelope.traceparent, envelope.tracestate, envelope.baggage = trace
                envelope.schema_header = values[plan.schema] if plan.schema >= 0 else None
            return envelope
        raise MalformedEnvelope(f"the envelope {plan.problem}")


def _one_by_one(layout: Layout, values: Values) -> list[str]:
    texts: list[str] = []
    for name, value in zip(layout.names, values, strict=True):
        if value is None:
            raise MalformedEnvelope(f"attribute '{name}' has no value")
        try:
            texts.append(value.decode())
        except UnicodeDecodeError:
            raise MalformedEnvelope(f"attribute '{name}' is no UTF-8") from None
    layout.check(texts)
    return texts


def _refuse_version(version: bytes | None) -> NoReturn:
    if version is None:
        raise MalformedEnvelope("attribute 'specversion' has no value")
    shown = version.decode() if _VERSION.fullmatch(version) else "of another form"
    raise UnsupportedSpecVersion(f"CloudEvents specversion {shown}: only 1.0 can be read")
