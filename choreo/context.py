"""What a handler may know and do beside its event."""

from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Generic, NamedTuple, Protocol

from typing_extensions import TypeVar

from choreo.duration import checked_delay
from choreo.envelope import Envelope
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.ids import derived
from choreo.message import Delivery

Emit = Callable[["Context", Event, timedelta | None], str]
"""Check, give an id to and keep one emitted event and its delay; returns the id."""

T_co = TypeVar("T_co", covariant=True, default=object)
"""The store's transaction. Plain ``Context`` knows nothing of it, and is what every other one is: a
function that takes it can be called with each."""


class EmittedId(str):
    """The id of an emitted event, which may be awaited."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, str]:
        yield from ()
        return str(self)


class Emitted(NamedTuple):
    """One event that an attempt has emitted."""

    id: str
    event: Event
    delay: timedelta | None = None
    """How long after the end of the attempt it is to be published."""


@dataclass(frozen=True, slots=True)
class Site:
    """Which handler an attempt is made by: the same for all of its attempts."""

    service: str
    handler: str
    emit: Emit


@dataclass(slots=True, eq=False)
class Context(Generic[T_co]):
    """One attempt to handle one event.

    A handler that asks for ``Context[SqlTransaction]`` runs in a transaction of its service's
    store: what it writes there, what it emits and the mark that the event is done are kept
    together, or not at all.
    """

    # It ends with its attempt. Type checkers tell it from a dependency by this (choreo.signature).
    __reduce__: ClassVar[None] = None  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    envelope: Envelope
    delivery: Delivery
    attempt: int
    """1 for the first."""
    site: Site = field(repr=False)
    _emitted: list[Emitted] | None = field(default=None, repr=False)
    _transaction: T_co | None = field(default=None, repr=False)

    @property
    def service(self) -> str:
        """The service whose handler it is."""
        return self.site.service

    @property
    def handler(self) -> str:
        """The handler's id."""
        return self.site.handler

    @property
    def emitted(self) -> list[Emitted]:
        """What this attempt has emitted so far, in order."""
        if self._emitted is None:
            self._emitted = []
        return self._emitted

    @property
    def id(self) -> str:
        """The event's id, unique within its source."""
        return self.envelope.id

    @property
    def source(self) -> str:
        """Who published the event."""
        return self.envelope.source

    @property
    def time(self) -> datetime | None:
        """When it happened, by its producer's clock."""
        return self.envelope.occurred

    @property
    def correlation_id(self) -> str:
        """The conversation it belongs to: the id of the event that began it."""
        return self.envelope.conversation

    @property
    def causation_id(self) -> str | None:
        """The id of the event that led to this one."""
        return self.envelope.causation_id

    @property
    def transaction(self) -> T_co:
        """The transaction in which the event is handled, for writes of one's own.

        Raises ConfigurationError unless the handler asks for it by its annotation.
        """
        if self._transaction is None:
            raise ConfigurationError(
                f"handler {self.handler} has no transaction: annotate "
                "ctx: Context[SqlTransaction], and give the service a store"
            )
        return self._transaction

    def publish(self, event: Event, /, *, delay: timedelta | None = None) -> EmittedId:
        """Emit *event* when, and only when, this attempt succeeds; return its id.

        With *delay* it waits in the service's store and is published that long after this attempt,
        by the database's clock: never earlier, over restarts, and holding up nobody.

        There is nothing to wait for: a plain function calls it as it is, and awaiting it, as other
        publishing is awaited, gives the id as well.

        The id is derived from this event, this handler and the order of emission, so that another
        attempt emits the same ids. Raises UndeclaredEmit unless ``publishes=`` or the return type
        declares the event's class; for a *delay* TypeError if it is no timedelta, ValueError unless
        it is positive, ConfigurationError if the service has no store.
        """
        return EmittedId(self.site.emit(self, event, checked_delay(delay)))

    def idempotency_key(self, step: str = "") -> str:
        """Make a key for an outside API that is the same on every attempt, restart and replay."""
        return derived(self.service, self.source, self.id, f"{self.handler}#{step}", 0)


class Untold(Protocol):
    """An attempt whose handler asks for no context, so that none is made before it is needed."""

    def told(self) -> Context:
        """Make one."""
        ...


current: ContextVar[Context | Untold | None] = ContextVar("choreo_context", default=None)
"""The attempt that the running code belongs to."""


def running() -> Context | None:
    """Tell the context of the attempt that the running code belongs to; logging looks here."""
    attempt = current.get()
    return attempt if attempt is None or isinstance(attempt, Context) else attempt.told()
