"""Emitting events within an application's own transaction, outside of any handler."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from choreo.broker import Broker, open_broker
from choreo.context import Emitted
from choreo.duration import checked_delay
from choreo.envelope import Envelope
from choreo.environment import Environment
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.observer import tell_published
from choreo.registry.port import fetching, fetching_sync
from choreo.service import Service
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
    settings; the service need not run in this process. Nothing is connected to, unless the service
    frames Avro by a registry's ids, which are asked for once for each class of events.

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
        # What only a running service needs is not loaded with the package's names.
        from choreo.cloudevents import EnvelopeWriter  # noqa: PLC0415
        from choreo.delivery.outgoing import Outgoing  # noqa: PLC0415
        from choreo.formats import OccasionalCodec  # noqa: PLC0415

        self._name = service.name
        self._environment = environment or Environment()
        self._woken = woken or service.wake
        self._guest = _guest(service)
        settings = service.settings()
        given = service.broker
        broker: Broker = (
            open_broker(settings.broker) if given is None or isinstance(given, str) else given
        )
        self._codec = OccasionalCodec(settings, self._environment)
        self._outgoing = Outgoing(
            source=f"urn:choreo:{service.name}",
            writer=EnvelopeWriter(broker.capabilities.binding),
            codec=self._codec,
            clock=self._environment.clock,
            capabilities=broker.capabilities,
        )

    async def prepare(self, *events: type[Event]) -> None:
        """Ask the registry now for what it takes to write *events*, before any transaction.

        Raises ConfigurationError for what cannot be written or is not registered, and
        RegistryUnavailable where neither the registry tells an id nor the kept ids do.
        """
        for event in events:
            await fetching(partial(self._outgoing.prepare, event))

    async def add(
        self,
        place: Place,
        *events: Event,
        delay: timedelta | None = None,
        correlation: str | None = None,
        causation: str | None = None,
    ) -> list[str]:
        """Add *events* in the transaction of an AsyncSession or AsyncConnection; return their ids.

        Nothing is committed. *correlation* is the id of the conversation they belong to,
        *causation* that of the event that led to them; without either each begins a conversation.
        With *delay* they are published that long after they were added, by the database's clock,
        and never earlier. Raises EncodeError for an event that cannot be written, TypeError or
        ValueError for a *delay* that is none, whatever ``prepare`` raises for a class that was not
        prepared, and whatever the database raises.
        """
        if not hasattr(place, "run_sync"):
            raise ConfigurationError(
                f"add() takes an AsyncSession or AsyncConnection, not {type(place).__name__}; "
                "add_sync() takes a Session or Connection"
            )
        emitted = self._emitted(events, delay)
        written = await fetching(partial(self._written, emitted, correlation, causation))
        await place.run_sync(self._lodge, written)
        return [one.id for one in emitted]

    def add_sync(
        self,
        place: object,
        *events: Event,
        delay: timedelta | None = None,
        correlation: str | None = None,
        causation: str | None = None,
    ) -> list[str]:
        """Add *events*, as ``add`` does, in the transaction of a Session or Connection."""
        emitted = self._emitted(events, delay)
        written = fetching_sync(partial(self._written, emitted, correlation, causation))
        self._lodge(place, written)
        return [one.id for one in emitted]

    def _lodge(self, place: object, emissions: Sequence[Emission]) -> None:
        self._guest.lodge(place, self._name, emissions, self._committed)

    def _committed(self, _place: object) -> None:
        self._woken()

    def _emitted(self, events: Sequence[Event], delay: timedelta | None) -> Sequence[Emitted]:
        checked = checked_delay(delay)
        tell_published(self._name, events)
        return [Emitted(self._environment.ids.new(), event, checked) for event in events]

    def _written(
        self, emitted: Sequence[Emitted], correlation: str | None, causation: str | None
    ) -> Sequence[Emission]:
        if causation is None:
            messages = [self._outgoing.root(one, correlation) for one in emitted]
        else:
            # The cause may be anybody's, and is known by its id alone.
            cause = Envelope(
                id=causation,
                source=self._outgoing.source,
                type="",
                data=None,
                correlation_id=correlation,
            )
            messages = [*self._outgoing.caused(emitted, cause)]
        return self._outgoing.emissions(emitted, messages)


def _guest(service: Service[Any]) -> Guest:
    from choreo.store.opening import open_store  # noqa: PLC0415 -- as above

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
