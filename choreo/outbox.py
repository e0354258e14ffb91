"""Emitting events within an application's own transaction, outside of any handler."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from choreo.assembly import codecs
from choreo.broker import Broker, open_broker
from choreo.cloudevents import EnvelopeWriter
from choreo.delivery.outgoing import Outgoing
from choreo.envelope import Envelope
from choreo.environment import Environment
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.service import Service
from choreo.store.opening import open_store
from choreo.store.outbox import Emission, Guest


class Place(Protocol):
    """An ``AsyncSession`` or ``AsyncConnection`` of SQLAlchemy, with its transaction."""

    def run_sync(
        self,
        work: Callable[..., Any],
        /,
        *arguments: Any,  # noqa: ANN401 -- as SQLAlchemy has it
    ) -> Coroutine[Any, Any, Any]:
        """Do *work* with the synchronous session or connection inside."""
        ...


class Outbox:
    """A service's outbox, for applications that write it in transactions of their own.

    What is added is published once the transaction has committed, by whichever process runs the
    service, and never if it rolls back. Events are written as the service writes its own, by its
    settings; nothing is connected to, and the service need not run in this process.

    If the service runs in this process its relay is woken after each commit of a session that was
    added to; *woken* is called instead, from the thread that commits, where it is given.
    """

    def __init__(
        self,
        service: Service[Any],
        *,
        environment: Environment | None = None,
        woken: Callable[[], None] | None = None,
    ) -> None:
        """Raise ConfigurationError if the service's store cannot be written to from outside."""
        self._name = service.name
        self._environment = environment or Environment()
        self._woken = woken or service.wake
        self._guest = _guest(service)
        settings = service.settings()
        given = service.broker
        broker: Broker = (
            open_broker(settings.broker) if given is None or isinstance(given, str) else given
        )
        self._outgoing = Outgoing(
            source=f"urn:choreo:{service.name}",
            writer=EnvelopeWriter(broker.capabilities.binding),
            codec=codecs(settings),
            clock=self._environment.clock,
            capabilities=broker.capabilities,
        )

    async def add(
        self,
        place: Place,
        *events: Event,
        correlation: str | None = None,
        causation: str | None = None,
    ) -> list[str]:
        """Add *events* in the transaction of an AsyncSession or AsyncConnection; return their ids.

        Nothing is committed. *correlation* is the id of the conversation they belong to,
        *causation* that of the event that led to them; without either each begins a conversation.
        Raises EncodeError for an event that cannot be written, and whatever the database raises.
        """
        if not hasattr(place, "run_sync"):
            raise ConfigurationError(
                f"add() takes an AsyncSession or AsyncConnection, not {type(place).__name__}; "
                "add_sync() takes a Session or Connection"
            )
        ids, emissions = self._written(events, correlation, causation)
        await place.run_sync(self._lodge, emissions)
        return ids

    def add_sync(
        self,
        place: object,
        *events: Event,
        correlation: str | None = None,
        causation: str | None = None,
    ) -> list[str]:
        """Add *events*, as ``add`` does, in the transaction of a Session or Connection."""
        ids, emissions = self._written(events, correlation, causation)
        self._lodge(place, emissions)
        return ids

    def _lodge(self, place: object, emissions: Sequence[Emission]) -> None:
        self._guest.lodge(place, self._name, emissions, self._committed)

    def _committed(self, _place: object) -> None:
        self._woken()

    def _written(
        self, events: Sequence[Event], correlation: str | None, causation: str | None
    ) -> tuple[list[str], Sequence[Emission]]:
        ids = [self._environment.ids.new() for _ in events]
        named = list(zip(ids, events, strict=True))
        if causation is None:
            messages = [self._outgoing.root(event, one, correlation) for one, event in named]
        else:
            # The cause may be anybody's, and is known by its id alone.
            cause = Envelope(
                id=causation,
                source=self._outgoing.source,
                type="",
                data=None,
                correlation_id=correlation,
            )
            messages = [*self._outgoing.caused(named, cause)]
        return ids, self._outgoing.emissions(named, messages)


def _guest(service: Service[Any]) -> Guest:
    store: object = service.store
    if store is None or isinstance(store, str):
        url = service.settings().store
        if url is None:
            raise ConfigurationError(
                f"service {service.name} has no store, and so no outbox: give it "
                "store='sqlite:///…' or 'postgresql://…'"
            )
        store = open_store(url)
    if not isinstance(store, Guest):
        raise ConfigurationError(
            f"the outbox of service {service.name} is in {getattr(store, 'url', store)}, which no "
            "other transaction can write to: use sqlite:///… or postgresql://…"
        )
    return store
