"""A participant in a choreography: a name, its handlers, and how it reaches the broker."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, Unpack

from typing_extensions import TypeVar

from choreo.broker import Broker
from choreo.declaration import require, require_manager, require_service_name
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.middleware import Middleware
from choreo.options import Options
from choreo.retry import Retry
from choreo.router import Reactions
from choreo.settings import Settings
from choreo.store.port import Store

T_co = TypeVar("T_co", covariant=True, default=object)


class Outlet(Protocol):
    """Where a running service publishes."""

    async def publish(self, events: Sequence[Event], /) -> list[str]:
        """Publish root events; return their ids once the broker has them all."""
        ...

    def wake(self) -> None:
        """Have what lies in the outbox published soon; from any thread."""
        ...


class Service(Reactions[T_co]):
    """One service: registers handlers, knows nothing of how they are run.

    *name* is the consumer group and part of every id the service derives: changing it makes a new
    service. *broker* is a URL or an adapter, *store* a URL or a store. Other options are those of
    ``Settings``, given by their names, and taken from the environment and pyproject.toml otherwise.

    A store says itself what transactions it gives: ``Service("shop", store=SqlStore(…))`` is a
    ``Service[SqlTransaction]``, whose handlers may ask for ``Context[SqlTransaction]``. Where a URL
    or the settings name the store, the program says it: ``Service[SqlTransaction]("shop")``.
    """

    def __init__(
        self,
        name: str,
        *,
        broker: Broker | str | None = None,
        store: Store[T_co] | str | None = None,
        retry: Retry | None = None,
        middleware: Sequence[Middleware] = (),
        lifespan: Callable[["Service[T_co]"], AbstractAsyncContextManager[None]] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        require(name, str, f"Service({name!r}): the name is a string")
        require_service_name(name)
        require(retry, Retry, f"Service({name!r}, retry={retry!r}): give a Retry")
        require(middleware, Sequence, f"Service({name!r}, middleware={middleware!r}): give a list")
        require_manager(lifespan, f"Service({name!r}, lifespan=…)")
        self.name = name
        self.retry = retry or Retry()
        self.middleware = tuple(middleware)
        self.lifespan = lifespan
        self._broker = broker
        self._store = store
        self._options = options
        if options or isinstance(broker, str) or isinstance(store, str):
            self.settings()
        self._outlet: Outlet | None = None

    @property
    def broker(self) -> Broker | str | None:
        """The adapter or URL it was built with, or None if settings tell."""
        return self._broker

    @property
    def store(self) -> Store[T_co] | str | None:
        """The store or URL it was built with, or None if settings tell."""
        return self._store

    def settings(self, **override: Any) -> Settings:  # noqa: ANN401 -- validated by Settings
        """Gather the options as they are now; raise ConfigurationError for wrong ones."""
        broker = self._broker if isinstance(self._broker, str) else None
        store = self._store if isinstance(self._store, str) else None
        return Settings.load(**{"broker": broker, "store": store, **self._options, **override})

    async def publish(self, event: Event, /) -> str:
        """Publish an event that begins a conversation; return its id once the broker has it.

        Only while the service runs; inside a handler use ``Context.publish``, which keeps the
        cause. Raises PublishError if the broker refused it, or if its fate is unknown.
        """
        return (await self.publish_many((event,)))[0]

    async def publish_many(self, events: Sequence[Event], /) -> list[str]:
        """Publish several events at once, in order within a key; return their ids."""
        if self._outlet is None:
            raise ConfigurationError(
                f"service {self.name} is not running: publish inside "
                f"`async with started({self.name})`, or from its lifespan"
            )
        return await self._outlet.publish(events)

    def wake(self) -> None:
        """Have what lies in its outbox published soon, if it runs here; from any thread."""
        if self._outlet is not None:
            self._outlet.wake()

    @asynccontextmanager
    async def attached(self, outlet: Outlet, /) -> AsyncGenerator[None]:
        """Publish through *outlet* meanwhile: what a runner calls."""
        if self._outlet is not None:
            raise ConfigurationError(f"service {self.name} is running already")
        self._outlet = outlet
        try:
            yield
        finally:
            self._outlet = None
