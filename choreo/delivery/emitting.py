"""What handlers emit: each event checked, given an id, and kept until its attempt succeeds."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

from choreo.context import Context, Emit, Emitted
from choreo.errors import ConfigurationError, LateEmit, UndeclaredEmit
from choreo.event import Event
from choreo.ids import derived
from choreo.plan import Plan


def emitter(plan: Plan, service: str, source: str, *, kept: bool) -> Emit:
    """Compose what takes each event that *plan*'s handler emits; *kept* says that delays can be."""
    emits = plan.emits

    def emit(context: Context, event: Event, delay: timedelta | None) -> str:
        if type(event) not in emits:
            raise UndeclaredEmit(
                f"handler {plan.id} emitted {type(event).__name__} undeclared: name it in "
                f"the return type or in on(…, publishes=[{type(event).__name__}]) at {plan.where}"
            )
        if delay is not None and not kept:
            raise ConfigurationError(
                f"handler {plan.id} delayed {type(event).__name__}, and service {service} "
                "has no store where it could wait: give it store='sqlite:///…' or "
                "'postgresql://…', in tests 'memory://'"
            )
        envelope = context.envelope
        identity = derived(source, envelope.source, envelope.id, plan.id, len(context.emitted))
        context.emitted.append(Emitted(identity, event, delay))
        return identity

    return emit


def too_late(context: Context, event: Event, _delay: timedelta | None) -> str:
    """Refuse what comes after the attempt."""
    raise LateEmit(
        f"handler {context.handler} emitted {type(event).__name__} when its attempt had ended: "
        "await the tasks that it starts before it returns"
    )


def collect(context: Context, result: Any) -> None:  # noqa: ANN401 -- whatever a handler returned
    """Emit what a handler returned: one event, or several."""
    if isinstance(result, Event):
        context.site.emit(context, result, None)
        return
    events = result
    if not isinstance(events, Iterable) or isinstance(events, str | bytes):
        events = (events,)
    for event in cast("Iterable[object]", events):
        if not isinstance(event, Event):
            raise UndeclaredEmit(
                f"handler {context.handler} emitted a {type(event).__name__}, which is no event"
            )
        context.site.emit(context, event, None)
