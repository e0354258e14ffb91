"""What the header names of a message decide, decided once: mode, attributes, trace context."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from choreo.broker import Binding
from choreo.cloudevents.attributes import REQUIRED, TRACE, Limits, legal_name
from choreo.cloudevents.layout import NO_TRACE, Layout, Trace
from choreo.cloudevents.trace import read_baggage, read_traceparent, read_tracestate

CONTENT_TYPE = "content-type"
Values = Sequence[bytes | None]


class HeaderPlan:
    """Where to find what in headers of these names."""

    __slots__ = (
        "_traces",
        "content_type",
        "foreign",
        "layout",
        "name_bytes",
        "pick",
        "problem",
        "specversion",
    )

    def __init__(self, names: Sequence[str], binding: Binding, limits: Limits) -> None:
        self.content_type = -1
        """Place of the content type, or -1."""
        self.specversion = -1
        problem: str | None = None
        self._traces: dict[str, list[int]] = {}
        attributes: dict[str, int] = {}
        for position, name in enumerate(names):
            problem = self._place(name, position, binding, attributes) or problem
        if self.content_type >= 0:
            attributes["datacontenttype"] = self.content_type
        self.foreign = not any(name.lower() in REQUIRED for name in attributes)
        """No required attribute is there: it is no CloudEvent in binary mode."""
        self.specversion = attributes.pop("specversion", -1)
        lacking = [name for name in REQUIRED[:2] + REQUIRED[3:] if name not in attributes]
        if self.specversion < 0:
            lacking.append("specversion")
        if lacking:
            problem = problem or "lacks the required " + ", ".join(map(repr, lacking))
        elif len(attributes) > limits.attributes:
            problem = problem or f"has more than {limits.attributes} attributes"
        self.problem = problem
        """Why no message with such headers is a CloudEvent in binary mode."""
        self.name_bytes = sum(map(len, attributes))
        self.layout: Layout | None = None
        self.pick: itemgetter[Any] | None = None
        if problem is None:
            self.layout = Layout(list(attributes))
            self.pick = itemgetter(*attributes.values())

    def trace(self, values: Values) -> Trace:
        """Judge the transport's trace context; what is not valid is left out."""
        if not self._traces:
            return NO_TRACE
        baggage = self._traces.get("baggage")
        parents = self._traces.get("traceparent", ())
        parent = read_traceparent(values[parents[0]]) if len(parents) == 1 else None
        states = self._traces.get("tracestate")
        return Trace(
            parent,
            read_tracestate([values[at] for at in states]) if states and parent else None,
            read_baggage([values[at] for at in baggage]) if baggage else None,
        )

    def _place(
        self, name: str, position: int, binding: Binding, attributes: dict[str, int]
    ) -> str | None:
        """Find the place of one header; tell what is wrong with its being there."""
        lower = name.lower()
        if lower == CONTENT_TYPE:
            repeated = self.content_type >= 0
            self.content_type = position
            return "repeats the content type" if repeated else None
        if lower in TRACE:
            self._traces.setdefault(lower, []).append(position)
            return None
        attribute = _attribute(name, binding)
        if attribute is None:
            return None
        repeated = attribute in attributes
        attributes[attribute] = position
        if not legal_name(attribute):
            return f"has an attribute with the illegal name {attribute[:40]!a}"
        return f"repeats the attribute '{attribute}'" if repeated else None


def _attribute(name: str, binding: Binding) -> str | None:
    """Tell which attribute the header *name* carries on this transport; None for other headers."""
    prefix = binding.value
    if prefix:
        return name[len(prefix) :] if name[: len(prefix)].lower() == prefix else None
    # Without a prefix whatever could be an attribute is one, and all else belongs to the transport.
    return name if legal_name(name) or name == "data" else None
