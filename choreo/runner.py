"""The life of running services: start in order, stop in phases, each with a budget.

    starting ─► running ─► intake stopped ─► drained ─► settled and left ─► closed

Stopping gives up what has not begun (the broker hands it over again), waits for handlers that run
and for what they emitted, tells the broker what is done, and only then leaves.  A phase that
exceeds its budget is reported and cut short: what was unfinished stays unsettled.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
)
from datetime import timedelta
from functools import partial
from typing import Any

from choreo.assembly import Assembly, Ground, assemble
from choreo.bookkeeping import Bookkeeping, opened
from choreo.broker import Broker, Consumer, open_broker
from choreo.delivery.attempts import Records
from choreo.delivery.burial import Burial
from choreo.delivery.journal import Journal
from choreo.delivery.limits import Limits
from choreo.delivery.outgoing import Outgoing
from choreo.delivery.publisher import Publisher
from choreo.delivery.relay import Relay
from choreo.delivery.worker import Worker
from choreo.environment import Environment
from choreo.errors import ConfigurationError, ConnectionLost
from choreo.event import Event
from choreo.formats import formats, written_by
from choreo.message import Message
from choreo.observer import tell_published
from choreo.provision import provide
from choreo.registry.port import fetching
from choreo.retry import FOREVER
from choreo.service import Service
from choreo.settings import Settings
from choreo.telemetry.readings import Subjects
from choreo.telemetry.telemetry import ServiceTelemetry, Telemetry

logger = logging.getLogger(__name__)

Connect = Callable[[str], Broker]
"""Makes the adapter for a URL, unopened."""

SETTLE_BUDGET = timedelta(seconds=5)
"""Time to tell the broker what is done, and to leave it."""


class Running:
    """A started service."""

    def __init__(
        self,
        service: Service[Any],
        assembly: Assembly,
        publisher: Publisher,
        environment: Environment,
    ) -> None:
        self.service = service
        self.assembly = assembly
        self._publisher = publisher
        self._environment = environment
        self.relay: Relay | None = None
        """What publishes from the outbox of its store."""
        self.worker: Worker | None = None
        self.consumer: Consumer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def outgoing(self) -> Outgoing:
        """What writes this service's events."""
        return self.assembly.outgoing

    async def publish(self, events: Sequence[Event], /) -> list[str]:
        """Publish root events; return their ids once the broker has them all."""
        if isinstance(events, Event):
            name = type(events).__name__
            raise ConfigurationError(f"publish() takes a list of events, not one {name}: [event]")
        events = list(events)
        ids = [self._environment.ids.new() for _ in events]
        messages = await fetching(partial(self.outgoing.roots, list(zip(ids, events, strict=True))))
        await self._publisher.publish(messages)
        tell_published(self.service.name, events)
        return ids

    def wake(self) -> None:
        """Have what lies in the outbox published soon; from any thread."""
        if self.relay is not None:
            self.relay.wake()

    async def send(self, messages: Sequence[Message], /) -> None:
        """Publish *messages* as they are; return once the broker has them all."""
        await self._publisher.publish(messages)

    async def wait(self) -> None:
        """Return when consumption has ended; raise what ended it. Endless for a mere publisher."""
        if self._task is None:
            await asyncio.get_running_loop().create_future()
        else:
            await asyncio.shield(self._task)

    async def consume(self, worker: Worker, consumer: Consumer) -> None:
        """Begin to pull and handle."""
        self.worker, self.consumer = worker, consumer
        self._task = asyncio.get_running_loop().create_task(
            worker.run(consumer), name=f"choreo worker {self.service.name}"
        )
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say so at once when consumption fails: the block may be busy with other things."""
        if not task.cancelled() and (error := task.exception()) is not None:
            names = {"service": self.service.name}
            logger.critical("consumption has failed", exc_info=error, extra=names)

    async def stop(self, settings: Settings) -> None:
        """Go through the phases of stopping; never raises, always ends."""
        worker, consumer, task = self.worker, self.consumer, self._task
        if worker is None or consumer is None or task is None:
            return
        worker.stop_intake()
        try:
            await self._phase("stop intake", SETTLE_BUDGET, asyncio.wait({task}))
            await self._phase("drain", settings.drain, worker.drain())
            await self._phase("cancel", settings.grace + SETTLE_BUDGET, worker.close())
            await self._phase("settle", SETTLE_BUDGET, consumer.flush())
        finally:  # cancelled itself, it leaves nothing running either
            worker.abort()
            task.cancel()

    async def close(self) -> None:
        """Wait for what is being published, within its budget."""
        await self._phase("publish", SETTLE_BUDGET, self._publisher.close())
        self._publisher.abort()

    async def _phase(self, name: str, budget: timedelta, work: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(budget.total_seconds()):
                await work
        except TimeoutError:
            logger.error(  # noqa: TRY400 -- where it hung says nothing
                "stopping took longer than its budget",
                extra={
                    "phase": name,
                    "budget": budget.total_seconds(),
                    "service": self.service.name,
                },
            )
        except Exception:
            logger.exception(
                "stopping failed in one phase", extra={"phase": name, "service": self.service.name}
            )


@asynccontextmanager
async def started(
    service: Service[Any],
    *,
    settings: Settings | None = None,
    environment: Environment | None = None,
    journals: Sequence[Journal] = (),
    connect: Connect | None = None,
    telemetry: Telemetry | None = None,
) -> AsyncGenerator[Running]:
    """Run *service* within the block: it handles events on entry, and is drained on exit.

    Raises ConfigurationError for what could not work, ConnectionLost after ``start_timeout``.
    *connect* makes the adapter in place of the service's own broker, from the settings' URL, and
    *telemetry* stands in for OpenTelemetry's global providers.
    """
    settings = settings or service.settings()
    environment = environment or Environment()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(_opened(service, settings, environment, connect))
        keeping = await stack.enter_async_context(opened(service, settings, environment))
        telemetry = telemetry or Telemetry.detect() or Telemetry()
        watch = telemetry.of(service, broker, settings, environment)
        written = formats(settings, environment, written_by(service))
        found = await stack.enter_async_context(written)
        ground = Ground(
            capabilities=broker.capabilities,
            settings=settings,
            environment=environment,
            threads=_threads(service, settings, stack),
            tracer=watch.tracer,
            formats=found,
        )
        publisher = Publisher(broker, _published(journals), watch.tracer)
        running = await _assembled(service, broker, ground, publisher, keeping, stack)
        await stack.enter_async_context(service.attached(running))
        if service.lifespan is not None:
            await stack.enter_async_context(service.lifespan(service))
        _tell_deprecated(service)
        await _consume(running, broker, ground, watch, keeping.records, journals, stack)
        yield running


def _threads(service: Service[Any], settings: Settings, stack: AsyncExitStack) -> Executor:
    threads = ThreadPoolExecutor(settings.threads, thread_name_prefix=f"choreo-{service.name}")
    stack.callback(threads.shutdown, wait=False, cancel_futures=True)
    return threads


async def _assembled(
    service: Service[Any],
    broker: Broker,
    ground: Ground,
    publisher: Publisher,
    keeping: Bookkeeping,
    stack: AsyncExitStack,
) -> Running:
    """Put the service together, and have its books kept."""
    provided = await provide(service.provided, stack)
    books = partial(keeping.books, service, ground.capabilities, publisher)
    assembly = assemble(service, ground, provided, books)
    await broker.prepare(assembly.topics)
    running = Running(service, assembly, publisher, ground.environment)
    running.relay = keeping.relay
    stack.push_async_callback(running.close)
    topics = assembly.repeating
    horizon = broker.horizon(topics)
    longest = next((name for name in topics if broker.horizon([name]) == horizon), None)
    await stack.enter_async_context(keeping.kept(service, horizon, longest))
    return running


async def run(service: Service[Any]) -> None:
    """Run *service* until cancelled, or until it cannot go on; drain it either way."""
    async with started(service) as running:
        await running.wait()


async def _consume(
    running: Running,
    broker: Broker,
    ground: Ground,
    watch: ServiceTelemetry,
    records: Records,
    journals: Sequence[Journal],
    stack: AsyncExitStack,
) -> None:
    """Subscribe and begin, with the way out arranged before the way in."""
    assembly, settings, environment = running.assembly, ground.settings, ground.environment
    if assembly.subscription is None:
        return
    publisher = running._publisher  # noqa: SLF001 -- same module
    burial = Burial(
        running.service.name,
        publisher,
        broker.capabilities,
        environment.clock,
        ground.tracer,
        stack=settings.dead_letter_stack,
    )
    limits = Limits(
        concurrency=settings.concurrency,
        prefetch=settings.prefetch or max(500, 2 * settings.concurrency),
        max_unsettled=settings.max_unsettled,
        max_unsettled_bytes=settings.max_unsettled_bytes,
        outage_keys=settings.outage_keys,
        outage_limit=settings.outage_limit,
        grace=settings.grace,
        finish_begun=not broker.capabilities.remembers,
    )
    told = (*journals, *watch.journals)
    worker = Worker(assembly.intake, records, burial, limits, environment, told)
    consumer = await stack.enter_async_context(broker.subscribe(assembly.subscription, worker))
    relay = running.relay
    backlog = None if relay is None else lambda: relay.state.backlog
    stack.enter_context(watch.watching(Subjects(work=worker, streams=consumer, backlog=backlog)))
    stack.push_async_callback(running.stop, settings)
    await running.consume(worker, consumer)


@asynccontextmanager
async def _opened(
    service: Service[Any], settings: Settings, environment: Environment, connect: Connect | None
) -> AsyncGenerator[Broker]:
    """Open the broker, trying again until the start's time is up."""
    give_up = environment.clock.monotonic() + settings.start_timeout.total_seconds()
    tries = 0
    async with AsyncExitStack() as stack:
        opened: Broker | None = None
        while opened is None:
            given = service.broker
            if connect is not None or given is None or isinstance(given, str):
                broker = (connect or open_broker)(settings.broker)
            else:
                broker = given
            try:
                opened = await stack.enter_async_context(broker)
            except ConnectionLost as error:
                tries += 1
                delay = FOREVER.backoff(tries, environment.random)
                if environment.clock.monotonic() + delay > give_up:
                    raise
                names = {"broker": broker.url, "error": str(error)}
                logger.warning("broker cannot be reached yet", extra=names)
                await environment.clock.sleep(delay)
        yield opened


def _tell_deprecated(service: Service[Any]) -> None:
    """Warn once of each handler that reads a deprecated field: Python hides its own warnings."""
    for plan in service.plans:
        if not any(field.deprecated for field in plan.event.model_fields.values()):
            continue
        from choreo.contracts.deprecation import deprecated_reads  # noqa: PLC0415 -- when there are

        for one in deprecated_reads(plan):
            names = {"handler": plan.id, "field": one.field, "says": one.says, "where": one.where}
            logger.warning("a handler reads a deprecated field", extra=names)


def _published(journals: Sequence[Journal]) -> Callable[[Sequence[Message]], None] | None:
    if not journals:
        return None

    def tell(messages: Sequence[Message]) -> None:
        for journal in journals:
            journal.published(messages)

    return tell
