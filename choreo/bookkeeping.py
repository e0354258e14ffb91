"""A service's books, opened for one run: in memory, or in the store that it names."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from choreo.broker import Capabilities
from choreo.clock import Clock
from choreo.delivery.attempts import Records
from choreo.delivery.books import Books, PassingBooks
from choreo.delivery.durable import DurableBooks
from choreo.delivery.guard import Guard
from choreo.delivery.inbox import Inbox
from choreo.delivery.job import Job
from choreo.delivery.leases import Leases
from choreo.delivery.outgoing import Outgoing
from choreo.delivery.publisher import Publisher
from choreo.delivery.quarantine import incarnation
from choreo.delivery.relay import POLL, Relay, RelaySettings
from choreo.delivery.sequencing import unsequenced
from choreo.delivery.waves import Refusing
from choreo.environment import Environment
from choreo.errors import ConfigurationError, StoreError
from choreo.event import event_type
from choreo.plan import Kind, Plan
from choreo.retention import retention
from choreo.retry import FOREVER
from choreo.sequences import Kept, Requests, lot_of, sequencing
from choreo.service import Service
from choreo.settings import Settings
from choreo.store.lot import Lot
from choreo.store.port import Ledger, Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

SWEEP = timedelta(minutes=1)
"""Time between two looks for what may be forgotten."""
FLUSH = timedelta(seconds=5)
"""Time to publish what is in the outbox when stopping, and again to hand its shards back."""
SWEPT = 1_000
"""Ends forgotten in one transaction."""
REST = 0.1
"""Least seconds between two of these: who polls for SQLite's lock looks every tenth of a second."""


class Bookkeeping:
    """What one running service keeps its books with."""

    def __init__(self, settings: Settings, environment: Environment) -> None:
        self._environment = environment
        self._settings = settings
        self._inbox: Inbox[Job] = Inbox(settings.duplicates_window)
        self._store: Store[Any] | None = None
        self._ledger: Ledger[Any] | None = None
        self._leases: Leases | None = None
        self._books: Books | None = None
        self._relay: Relay | None = None
        self._sequencing = unsequenced()
        self._lot: Lot | None = None
        self._left = False
        self._guard: Guard | None = None

    @property
    def store(self) -> Store[Any] | None:
        """The store, while it is open."""
        return self._store

    @property
    def records(self) -> Records:
        """What a worker looks things up in."""
        assert self._books is not None  # noqa: S101 -- the books are opened first
        if self._store is None:
            return Records(books=self._books, inbox=self._inbox, sequencing=self._sequencing)
        return Records(
            books=self._books,
            inbox=self._inbox,
            absent=self._store.unavailable,
            sequencing=self._sequencing,
            guard=self._guard,
            lot=self._lot,
        )

    async def open(self, store: Store[Any], service: Service[Any]) -> None:
        """Keep the books of *service* in *store*."""
        self._store = store
        # Memory is a short cut now, and must hold what is taken in at one time.
        least = 2 * self._settings.max_unsettled
        self._inbox = Inbox(max(self._settings.duplicates_window, least))
        self._ledger = await store.ledger(service.name, [plan.id for plan in service.plans])
        self._left = bool(await self._ledger.order.lot.lines(1))
        self._leases = Leases(self._ledger, self._environment.ids.new(), self._environment.clock)

    def books(
        self,
        service: Service[Any],
        capabilities: Capabilities,
        publisher: Publisher,
        outgoing: Outgoing,
    ) -> Books:
        """Open the books, given how events are written and published."""
        kept = self._kept
        requests = Requests(service, publisher, outgoing, self._environment)
        self._sequencing = sequencing(service, self._settings, kept, capabilities, requests.ask)
        self._lot = lot_of(service, kept, capabilities) or self._sequencing.lot
        if self._lot is None and kept is not None and self._left:
            # Nobody parks any more, and what was parked is owed an end all the same.
            self._lot = kept.order.lot
        durable = kept is not None and kept.lasts
        if kept is not None and durable and self._settings.quarantine and service.plans:
            own = incarnation(self._environment.ids.new())
            clock = self._environment.clock
            self._guard = Guard(kept.order.flights, own, self._settings.quarantine, clock)
        if self._ledger is None or self._leases is None:
            self._books = PassingBooks(publisher)
        else:
            lease = self._settings.outbox_lease
            settings = RelaySettings(
                lease=lease,
                # Who writes to memory wakes its relay: months of waiting must pass in a test.
                poll=POLL if self._store is None or self._store.durable else lease / 10,
                refusing=Refusing(then=self._settings.outbox_refused),
            )
            outbox, environment = self._ledger.outbox, self._environment
            self._relay = Relay(
                outbox, publisher.pass_on, environment, settings, stamp=outgoing.stamp
            )
            clock = self._environment.clock
            self._books = DurableBooks(self._ledger, self._inbox, self._leases, clock, self._wake)
        return self._books

    @property
    def _kept(self) -> Kept | None:
        if self._store is None or self._ledger is None:
            return None
        return Kept(self._ledger.order, self._store.durable)

    @property
    def relay(self) -> Relay | None:
        """What publishes from the outbox, where there is a store."""
        return self._relay

    def _wake(self) -> None:
        if self._relay is not None:
            self._relay.wake()

    @asynccontextmanager
    async def kept(
        self, service: Service[Any], horizon: timedelta | None, topic: str | None
    ) -> AsyncGenerator[None]:
        """Renew leases and forget what is old, meanwhile.

        *horizon* is the time in which the broker may hand an event over again, by *topic*.
        """
        async with AsyncExitStack() as stack:
            durations = [plan.options.lease for plan in service.plans if plan.options.lease]
            if self._leases is not None and durations:
                _background(stack, "choreo leases", self._leases.run(min(durations)))
            if self._guard is not None:
                guard = self._guard
                await _patiently(
                    lambda: stack.enter_async_context(guard.keeping()),
                    self._settings,
                    self._environment,
                )
            if self._relay is not None:
                await stack.enter_async_context(_relaying(self._relay))
            if self._ledger is not None:
                remembered = retention(self._settings.inbox_retention, horizon, topic)
                if remembered is not None:
                    _background(stack, "choreo sweep", self._sweep(self._ledger, remembered))
            yield

    async def _sweep(self, ledger: Ledger[Any], remembered: timedelta) -> None:
        clock = self._environment.clock
        while True:
            await clock.sleep(SWEEP.total_seconds())
            try:
                while True:
                    began = clock.monotonic()
                    if await ledger.expire(clock.now() - remembered, SWEPT) < SWEPT:
                        break
                    # Whoever else writes to the database has at least as long for it.
                    await clock.sleep(max(REST, clock.monotonic() - began))
            except StoreError as error:
                logger.warning("old ends could not be forgotten", extra={"error": str(error)})


@asynccontextmanager
async def _relaying(relay: Relay) -> AsyncGenerator[None]:
    """Publish from the outbox meanwhile, and on leaving what is there, as far as time allows."""
    task = asyncio.get_running_loop().create_task(relay.run(), name="choreo relay")
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(FLUSH.total_seconds()):
                await relay.flush()
        except TimeoutError:
            logger.warning("the outbox was not emptied: its events go out after the next start")
        relay.stop()
        await asyncio.wait({task}, timeout=FLUSH.total_seconds())
        task.cancel()


def _background(stack: AsyncExitStack, name: str, work: "Awaitable[None]") -> None:
    """Have *work* done until *stack* is left."""
    task = asyncio.ensure_future(work)
    task.set_name(name)

    async def end() -> None:
        task.cancel()
        await asyncio.wait({task})

    stack.push_async_callback(end)


@asynccontextmanager
async def opened(
    service: Service[Any], settings: Settings, environment: Environment
) -> AsyncGenerator[Bookkeeping]:
    """Open the books of *service*, trying again until the start's time is up.

    Raises ConfigurationError if a handler asks for what the store does not give, SchemaError if it
    must be migrated first, StoreError if it cannot be reached.
    """
    keeping = Bookkeeping(settings, environment)
    if service.store is None and settings.store is None:
        _check(service, None)
        yield keeping
        return
    async with AsyncExitStack() as stack:
        store = await _patiently(
            lambda: stack.enter_async_context(store_of(service, settings, environment.clock)),
            settings,
            environment,
        )
        _check(service, store)
        await _patiently(lambda: keeping.open(store, service), settings, environment)
        yield keeping


async def _patiently(
    reach: Callable[[], Awaitable[T]], settings: Settings, environment: Environment
) -> T:
    """Try again while the store does not answer, or another holds it, until time is up."""
    give_up = environment.clock.monotonic() + settings.start_timeout.total_seconds()
    tries = 0
    while True:
        try:
            return await reach()
        except StoreError as error:
            tries += 1
            delay = FOREVER.backoff(tries, environment.random)
            if environment.clock.monotonic() + delay > give_up:
                raise
            logger.warning("store cannot be reached yet", extra={"error": str(error)})
            await environment.clock.sleep(delay)


def store_of(service: Service[Any], settings: Settings, clock: Clock) -> Store[Any]:
    """Give the store that *service* was built with, or make the one that its settings name."""
    given = service.store
    if given is not None and not isinstance(given, str):
        return given
    url = settings.store or ""
    if url.startswith("memory:"):
        from choreo.store.memory import MemoryStore  # noqa: PLC0415 -- when used

        return MemoryStore(url, clock=clock)  # whose leases end by the same clock as all else here
    from choreo.store.opening import open_store  # noqa: PLC0415 -- a store's library when used

    return open_store(url)


def _check(service: Service[Any], store: Store[Any] | None) -> None:
    """Refuse handlers that ask for what the store does not give."""
    for plan in service.plans:
        wanted = plan.transaction
        if wanted is not None and (store is None or not issubclass(store.transaction, wanted)):
            raise ConfigurationError(_lacking(plan, wanted, store))
        if wanted is not None and plan.kind is Kind.THREAD:
            _check_thread(plan, store)
        numbered = [event.__name__ for event in plan.emits if event_type(event).numbered]
        if numbered and store is None:
            raise ConfigurationError(
                f"handler {plan.id} ({plan.where}) emits {', '.join(sorted(numbered))}, which the "
                f"outbox numbers: {_name_one(service)}"
            )
        if plan.options.lease is not None and store is None:
            raise ConfigurationError(
                f"handler {plan.id} ({plan.where}) wants a lease, which is kept in a store: "
                f"{_name_one(service)}"
            )


def _check_thread(plan: Plan, store: Store[Any] | None) -> None:
    """Refuse a transaction of coroutines to a thread, where they would do nothing unnoticed."""
    if store is not None and getattr(store.transaction, "asynchronous", False):
        raise ConfigurationError(
            f"handler {plan.id} ({plan.where}) is a plain function, which runs in a thread, and "
            "its transaction can only be used in the event loop: make it async def"
        )


def _name_one(service: Service[Any]) -> str:
    return f"name one, as in Service({service.name!r}, store='sqlite:///{service.name}.db')"


def _lacking(plan: Plan, wanted: type[object], store: Store[Any] | None) -> str:
    asks = f"handler {plan.id} ({plan.where}) asks for Context[{wanted.__name__}]"
    if store is None:
        return (
            f"{asks}, but the service has no store: name one, as in Service(…, store='sqlite:///…')"
        )
    return f"{asks}, but {store.url} gives {store.transaction.__name__}"
