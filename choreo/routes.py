"""Which handlers take which CloudEvents type: their own, older ones they are taught, newer ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from choreo.delivery.job import Handler
from choreo.envelope import Envelope
from choreo.errors import ConfigurationError
from choreo.event import Event, Newer, event_type
from choreo.upcast import chains, newer_version


def routes(handlers: Iterable[Handler]) -> dict[str, list[Handler]]:
    """Tell the handlers of every type that is read; raise ConfigurationError for two of one type.

    A version that has handlers of its own is theirs; of several newer ones the newest reads it.
    """
    found: dict[str, list[Handler]] = {}
    classes: dict[str, type[Event]] = {}
    for handler in handlers:
        kind = event_type(handler.plan.event).type
        other = classes.setdefault(kind, handler.plan.event)
        if other is not handler.plan.event:
            raise ConfigurationError(
                f"{other.__module__}.{other.__qualname__} and {handler.plan.event.__module__}."
                f"{handler.plan.event.__qualname__} are both {kind!r} on the wire: name one of them"
            )
        found.setdefault(kind, []).append(handler)
    older: dict[str, list[Handler]] = {}
    for kind in sorted(found, key=lambda kind: event_type(classes[kind]).version):
        older |= dict.fromkeys(chains(classes[kind]), found[kind])
    return older | found


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Who takes newer versions of one event."""

    handlers: Sequence[Handler]
    admit: Callable[[Envelope], None]
    """Raises UnknownVersion for what can be told without reading it that nobody can read."""


class NewerRoutes:
    """Finds who reads a version that is newer than any that has handlers.

    These are the handlers of the newest one below it, as *variant* makes them anew. They are made
    when such an event comes: most services never meet one.
    """

    def __init__(
        self,
        handlers: Iterable[Handler],
        policy: Newer,
        variant: Callable[[Sequence[Handler], Newer], Newcomers],
    ) -> None:
        self._policy: Newer = policy
        self._variant = variant
        self._newest: dict[str, list[Handler]] = {}
        self._newcomers: dict[str, Newcomers] = {}
        for handler in handlers:
            declared = event_type(handler.plan.event)
            others = self._newest.setdefault(declared.name, [])
            newest = event_type(others[0].plan.event).version if others else 0
            if declared.version > newest:
                others.clear()
            if declared.version >= newest:
                others.append(handler)

    def __call__(self, envelope: Envelope) -> Sequence[Handler]:
        """Tell who reads an event: nobody unless its version is newer. Raises UnknownVersion."""
        name = envelope.type.rpartition(".v")[0]
        handlers = self._newest.get(name, ())
        if not handlers:
            return ()
        declared = event_type(handlers[0].plan.event)
        policy = declared.newer or self._policy
        if policy == "dead_letter" or newer_version(declared, envelope.type) is None:
            return ()
        if name not in self._newcomers:
            self._newcomers[name] = self._variant(handlers, policy)
        newcomers = self._newcomers[name]
        newcomers.admit(envelope)
        return newcomers.handlers
