"""What the header names of a message decide, decided once: mode, attributes, trace context."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from choreo.broker import Binding
from choreo.cloudevents.attributes import REQUIRED, TIMESTAMPS, TRACE, Limits, legal_name
from choreo.cloudevents.layout import Layout, Trace
from choreo.cloudevents.plain import Known, Plain, Values
from choreo.cloudevents.trace import read_baggage, read_traceparent, read_tracestate

CONTENT_TYPE = "content-type"
SCHEMA_ID = "__value_schema_id"
"""Header in which Confluent's newer clients name the schema of a bare payload."""


class HeaderPlan:
    """Where to find what in headers of these names."""

    __slots__ = (
        "_lists",
        "_parent",
        "content_type",
        "foreign",
        "layout",
        "name_bytes",
        "pick",
        "plain",
        "problem",
        "schema",
        "specversion",
    )

    def __init__(
        self, names: Sequence[str], binding: Binding, limits: Limits, known: Known
    ) -> None:
        places: dict[str, list[int]] = {}
        attributes: dict[str, int] = {}
        problems: list[str] = []
        for position, name in enumerate(names):
            lower = name.lower()
            if lower == CONTENT_TYPE or lower in TRACE:
                places.setdefault(lower, []).append(position)
                continue
            if (attribute := _attribute(name, binding)) is not None:
                problems += _faults(attribute, attributes)
                attributes[attribute] = position
        self._place_trace(places)
        self.schema = names.index(SCHEMA_ID) if SCHEMA_ID in names else -1
        """Place of the header that names the payload's schema, or -1."""
        self.content_type = places.get(CONTENT_TYPE, [-1])[0]
        """Place of the content type, or -1."""
        if self.content_type >= 0:
            attributes["datacontenttype"] = self.content_type
            if len(places[CONTENT_TYPE]) > 1:
                problems.append("repeats the content type")
        self.foreign = not any(name.lower() in REQUIRED for name in attributes)
        """No required attribute is there: it is no CloudEvent in binary mode."""
        lacking = [repr(name) for name in REQUIRED if name not in attributes]
        if lacking:
            problems.append("lacks the required " + ", ".join(lacking))
        self.specversion = attributes.pop("specversion", -1)
        if len(attributes) > limits.attributes:
            problems.append(f"has more than {limits.attributes} attributes")
        self.problem = problems[0] if problems else None
        """Why no message with such headers is a CloudEvent in binary mode."""
        self.name_bytes = sum(map(len, attributes))
        self.layout: Layout | None = None
        self.pick: itemgetter[Any] | None = None
        self.plain: Plain | None = None
        """Reads the envelope in one pass where it is of the plain kind."""
        if not problems:
            self._lay_out(names, attributes, limits, known)

    def _lay_out(
        self, names: Sequence[str], attributes: dict[str, int], limits: Limits, known: Known
    ) -> None:
        self.layout = Layout(list(attributes))
        self.pick = itemgetter(*attributes.values())
        every = {**attributes, "specversion": self.specversion}
        if not any(name in every for name in TIMESTAMPS if name != "time"):
            room = limits.attribute_bytes - self.name_bytes
            self.plain = Plain(names, every, self.layout.homes, self._readers(), room, known)

    def trace(self, values: Values) -> Trace:
        """Judge the transport's trace context; what is not valid is left out."""
        parent = read_traceparent(values[self._parent]) if self._parent >= 0 else None
        if self._lists is None:
            return parent, None, None
        states, baggage = self._lists
        return (
            parent,
            read_tracestate([values[at] for at in states]) if parent and states else None,
            read_baggage([values[at] for at in baggage]) if baggage else None,
        )

    def _readers(self) -> dict[str, Callable[[Values], object]]:
        """Tell what reads those fields of an envelope that are no attributes."""
        headers: dict[str, Callable[[Values], object]] = {
            "schema_header": lambda values: values[self.schema] if self.schema >= 0 else None,
            "foreign": lambda _: False,
        }
        if self._parent >= 0 or self._lists is not None:
            headers |= {
                "traceparent": lambda values: self.trace(values)[0],
                "tracestate": lambda values: self.trace(values)[1],
                "baggage": lambda values: self.trace(values)[2],
            }
        return headers

    def _place_trace(self, places: dict[str, list[int]]) -> None:
        # A repeated traceparent names no one parent; lists may be spread over several headers.
        parents = places.get("traceparent", [])
        self._parent = parents[0] if len(parents) == 1 else -1
        lists = (places.get("tracestate", []), places.get("baggage", []))
        self._lists = lists if any(lists) else None


def _attribute(name: str, binding: Binding) -> str | None:
    """Tell which attribute the header *name* carries on this transport; None for other headers."""
    prefix = binding.value
    if prefix:
        return name[len(prefix) :] if name[: len(prefix)].lower() == prefix else None
    # Without a prefix whatever could be an attribute is one, and all else belongs to the transport.
    return name if legal_name(name) or name == "data" else None


def _faults(attribute: str, before: dict[str, int]) -> list[str]:
    if not legal_name(attribute):
        return [f"has an attribute with the illegal name {attribute[:40]!a}"]
    return [f"repeats the attribute '{attribute}'"] if attribute in before else []
