"""Who looks on while services handle and publish events: nobody, unless a test has asked."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol

from choreo.event import Event
from choreo.plan import Plan


class Observer(Protocol):
    """Takes note of what services do with events; it changes none of them."""

    def handed(self, service: str, plan: Plan, event: Event, /) -> None:
        """Note that *event* was decoded for one handler, whose filter has it next."""
        ...

    def published(self, service: str, event: type[Event], /) -> None:
        """Note that a service published an event outside of its handlers."""
        ...


observer: ContextVar[Observer | None] = ContextVar("choreo_observer", default=None)
"""Asked once when a service is put together, and when it publishes."""


def tell_published(service: str, events: Sequence[Event]) -> None:
    """Tell whoever looks on that *service* published *events* outside of its handlers."""
    onlooker = observer.get()
    if onlooker is not None:
        for kind in dict.fromkeys(map(type, events)):
            onlooker.published(service, kind)
