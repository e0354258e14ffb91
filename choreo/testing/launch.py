"""How a world starts its services: on its broker, watched, and mortal if they are to die."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlsplit

from choreo.bookkeeping import store_of
from choreo.broker import Broker, open_broker
from choreo.environment import Environment
from choreo.runner import Running, started
from choreo.service import Service
from choreo.settings import Settings
from choreo.testing.clock import ManualClock
from choreo.testing.fate import COMMITS, STAGES, Fate, Stage
from choreo.testing.flight import Flight
from choreo.testing.lives import Lives
from choreo.testing.mortal import Left, Life, forget
from choreo.testing.mortal_store import MortalStore
from choreo.testing.namespace import NamespacedBroker
from choreo.testing.record import Record, Watch
from choreo.testing.trouble import Bites, Hooks, Trouble, TroubledBroker

MEMORY = "memory"
LEASE = timedelta(days=1)
"""Of outboxes where a clock is moved: each renewal is a stop on its way."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What the services of one world are started with."""

    url: str
    namespace: str
    environment: Environment
    trouble: Trouble
    options: dict[str, Any]
    bites: Bites = field(default_factory=Bites)
    flight: Flight = field(default_factory=Flight)
    record: Record = field(default_factory=Record)

    @property
    def remote(self) -> bool:
        """Say whether the broker is outside of this process."""
        return urlsplit(self.url).scheme != MEMORY

    async def start(
        self, stack: AsyncExitStack, service: Service, again: Callable[[Running], None]
    ) -> Running:
        """Start *service* until *stack* is left; tell *again* of each life after the first."""
        if not self.trouble.crash:
            return await stack.enter_async_context(self._life(service, self._dice(service), None))
        settings, dice, trouble = self.settings(service), self._dice(service), self.trouble
        wanted = [
            stage
            for stage in map(Stage.named, trouble.stages or STAGES)
            if stage not in COMMITS or _stored(service, settings)
        ]
        fate = Fate(service.plans, wanted, trouble.crash, trouble.seed, dice)
        left: Left = []
        stack.callback(forget, left)
        clock = self.environment.clock
        books = store_of(service, settings, clock) if _stored(service, settings) else None

        def begin(ended: Callable[[], None]) -> AbstractAsyncContextManager[Running]:
            died = partial(self._died, service, ended)
            return self._life(service, dice, Life(fate, dice, left, died))

        def took_over(running: Running) -> None:
            self.flight.lives_again(service.name)
            again(running)

        lives = Lives(begin, took_over)
        running = await lives.start()
        stack.push_async_callback(lives.stop)
        stack.callback(lambda: books)  # what is kept in memory is kept for as long as the world
        return running

    async def start_driver(self, stack: AsyncExitStack) -> Running:
        """Start what publishes for the test."""
        driver = Service("harness")
        return await stack.enter_async_context(self._life(driver, self._dice(driver), None))

    def settings(self, service: Service) -> Settings:
        """Gather the settings of *service* in this world."""
        given: dict[str, Any] = {"broker": self.url, "create_topics": True}
        if isinstance(self.environment.clock, ManualClock):
            given["outbox_lease"] = LEASE
        settings = service.settings(**{**given, **self.options})
        if self.trouble.crash and settings.store == f"{MEMORY}://":
            named = f"{MEMORY}://{id(self)}-{service.name}"  # so that the next life finds it
            settings = service.settings(**{**given, **self.options, "store": named})
        return settings

    def connect(self, url: str) -> Broker:
        """Make the adapter of one service, unopened."""
        broker = open_broker(url)
        return NamespacedBroker(broker, self.namespace) if self.namespace else broker

    def _dice(self, service: Service) -> Random:
        return Random(f"{self.trouble.seed} {service.name}")

    def _died(
        self, service: Service, ended: Callable[[], None], stage: Stage, handler: str
    ) -> None:
        self.bites.deaths.append((service.name, stage, handler))
        self.flight.died(service.name)
        ended()

    @asynccontextmanager
    async def _life(
        self, service: Service, dice: Random, life: Life | None
    ) -> AsyncGenerator[Running]:
        """Run one life of a service, which *life* ends if it is given."""
        watch = Watch(service.name, self.flight, self.record)
        hooks = Hooks(
            repeated=self.flight.published,
            accepted=watch.published,
            unsettled=partial(self.flight.unsettled, service.name),
        )

        def connect(url: str) -> Broker:
            broker = self.connect(url)
            if self.trouble.calm:
                return broker
            return TroubledBroker(broker, self.trouble, dice, self.bites, hooks, life)

        settings = self.settings(service)
        running = started(
            service,
            settings=settings,
            environment=self.environment,
            journals=[watch] if life is None else [watch, life],
            connect=connect,
        )
        async with AsyncExitStack() as stack:
            with _mortal(service, settings, self.environment, life):
                begun = await stack.enter_async_context(running)
            yield begun
        if life is not None and life.dead:
            self.flight.abandoned(service.name)


@contextmanager
def _mortal(
    service: Service, settings: Settings, environment: Environment, life: Life | None
) -> Generator[None]:
    """Have *service* started with a store and handlers that end with *life*."""
    if life is None:
        yield
        return
    middleware, store = service.middleware, service.store
    service.middleware = (life.around, *middleware)
    if _stored(service, settings):
        inner = store_of(service, settings, environment.clock)
        service._store = MortalStore(inner, life)  # noqa: SLF001 -- as if it were built so
    try:
        yield
    finally:
        service.middleware = middleware
        service._store = store  # noqa: SLF001 -- as it was built


def _stored(service: Service, settings: Settings) -> bool:
    return service.store is not None or settings.store is not None
