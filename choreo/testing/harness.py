"""A world for tests: real services on a real broker, in this process, watched from all sides."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Concatenate, Self, TypeVar, Unpack
from urllib.parse import urlsplit, urlunsplit

from choreo import recording
from choreo.broker import Capabilities
from choreo.clock import Clock, SystemClock
from choreo.dead_letter import DeadLetter
from choreo.delivery.job import Outcome
from choreo.environment import Environment
from choreo.errors import BrokerError, ConfigurationError
from choreo.event import Event
from choreo.ids import SystemIds
from choreo.message import Message
from choreo.options import Options
from choreo.runner import Running
from choreo.service import Service
from choreo.testing.chronicle import Chronicle
from choreo.testing.clock import ManualClock, rest
from choreo.testing.effects import Effects, effects_of
from choreo.testing.flight import covered
from choreo.testing.launch import MEMORY, Launch
from choreo.testing.observing import listening
from choreo.testing.record import Failure
from choreo.testing.trail import Trail
from choreo.testing.trouble import Trouble

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)

PATIENCE = timedelta(seconds=5)
"""Real time that a world in memory has to settle."""
REMOTE_PATIENCE = timedelta(seconds=30)
"""The same where a broker is reached over a network."""


class NotSettledError(TimeoutError):
    """Something was still in flight when time was up; the text says what."""


class Harness:
    """Runs *services* together within ``async with``, and tells what happened.

    Without *broker* they share a ``memory://`` of their own. On any other broker, topics and groups
    get a prefix of their own, *namespace*, so that no world meets another or what was there before;
    topics are created and stay. With a ``ManualClock`` retries take no time: ``settle`` moves the
    clock to the next one. *trouble* makes messages come twice and services die. *options* replace
    those of every service (see ``Settings``).

        async with Harness(payments, orders, clock=ManualClock()) as world:
            await world.publish(OrderPlaced(...))
            await world.settle()
            assert world.published(PaymentTaken) == [PaymentTaken(...)]
            assert not world.dead_letters
    """

    def __init__(
        self,
        *services: Service,
        broker: str | None = None,
        clock: Clock | None = None,
        namespace: str | None = None,
        trouble: Trouble | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._services = services
        url = _fresh(broker or f"{MEMORY}://")
        self._remote = urlsplit(url).scheme != MEMORY
        if self._remote and isinstance(clock, ManualClock):
            raise ConfigurationError(f"a ManualClock moves {MEMORY}:// only, not {url}")
        self._environment = Environment(clock=clock or SystemClock(), random=Random(0))
        self._launch = Launch(
            url=url,
            namespace=namespace or (f"world-{SystemIds().new()}" if self._remote else ""),
            environment=self._environment,
            trouble=trouble or Trouble(),
            options=dict(options),
        )
        self.bites = self._launch.bites
        """What trouble there was."""
        self._flight = self._launch.flight
        self._record = self._launch.record
        self._running: list[Running] = []
        self._driver: Running | None = None
        self._stack = AsyncExitStack()
        self._chronicle: Chronicle | None = None

    async def __aenter__(self) -> Self:
        """Start every service, in the order given; raise what a start of it raises."""
        launch = self._launch
        capabilities = launch.connect(launch.url).capabilities
        with listening(self._record):
            await self._start(capabilities)
        self._chronicle = Chronicle(
            self._record,
            self._services,
            capabilities.binding,
            [running.assembly.formats for running in (self._open(), *self._running)],
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop the services, the last one first."""
        await self._stack.aclose()

    # -- what a test does -------------------------------------------------------------------------

    async def publish(self, event: Event, /) -> str:
        """Publish an event that begins a conversation; return its id."""
        return (await self._open().publish((event,)))[0]

    async def send(self, *messages: Message) -> None:
        """Publish *messages* as they are: foreign records, spoilt bytes, copies."""
        await self._open().send(messages)

    async def replay(self, file: Path) -> int:
        """Publish what ``choreo tail --record`` has written down, in its order; return how much."""
        messages = recording.read(file)
        await self.send(*messages)
        return len(messages)

    async def settle(self, within: timedelta | None = None) -> None:
        """Return once nothing is in flight: all that was published has ended with every handler.

        Waits for retries, or moves a ManualClock to them; neither for delayed events, which are not
        in flight before they are due: ``advance`` to them. Raises NotSettledError, which names what
        is in flight, after *within* of real time, and what ended a service's consumption, if it
        ended.
        """
        limit = within or (REMOTE_PATIENCE if self._remote else PATIENCE)
        try:
            async with asyncio.timeout(limit.total_seconds()):
                while not self._flight.idle or await self._relayed():
                    await self._progress()
        except TimeoutError:
            lines = "\n  ".join(self._flight.report()) or "nothing"
            raise NotSettledError(f"after {limit} there is in flight:\n  {lines}") from None
        await asyncio.sleep(0)  # the consumers are told of the last settlements in the next turn

    async def advance(self, time: timedelta) -> None:
        """Move the ManualClock on, and let happen what is due by then."""
        await self._manual().advance(time.total_seconds())

    # -- what happened ----------------------------------------------------------------------------

    def published(self, event: type[E], /) -> list[E]:
        """List what was published of one class, by tests and handlers, in order of acceptance."""
        return self._told().published(event)

    def emitted_by(self, handler: Callable[..., object], /) -> list[Event]:
        """List what *handler* emitted, in order of its successful attempts."""
        return self._told().emitted_by(handler)

    def handled(self, handler: Callable[Concatenate[E, ...], object], /) -> list[E]:
        """List the events that *handler* handled with success, in order of their ends."""
        return self._told().handled(handler)

    def outcomes(self, handler: Callable[..., object], /) -> Counter[Outcome]:
        """Count how *handler*'s events ended."""
        return self._told().outcomes(handler)

    def running(self, service: Service, /) -> Running:
        """Give the started *service*, for a test that looks inside."""
        return next(running for running in self._running if running.service is service)

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """What was dead-lettered, in order."""
        return self._told().dead_letters

    @property
    def messages(self) -> list[Message]:
        """Every message as the broker accepted it, dead letters included, in order."""
        return list(self._record.messages)

    @property
    def failures(self) -> list[Failure]:
        """Every failed attempt with its exception, in order."""
        return list(self._record.failures)

    def observed(self, text: str, /) -> list[str]:
        """List the keys that were told as *text* through ``observe``, in order."""
        return [key for told, key in self._record.observations if told == text]

    @property
    def effects(self) -> Effects:
        """What happened to how many events, without ids and moments: to compare two worlds."""
        return effects_of(self._record, self._told().envelope)

    def trail(self, identity: str | Event, /) -> Trail:
        """Draw who caused what in a conversation, given any id or event of it, or its correlation.

        Raises LookupError if there is no such event.
        """
        return self._told().trail(identity)

    # -- within -----------------------------------------------------------------------------------

    async def _start(self, capabilities: Capabilities) -> None:
        launch = self._launch
        async with AsyncExitStack() as stack:
            self._driver = await launch.start_driver(stack)
            if self._remote:
                stack.push_async_callback(self._forget_kept)
            if not capabilities.topic_levels:  # a log keeps what comes before its readers do
                early = [s for s in self._services if launch.settings(s).start == "earliest"]
                self._join(early, capabilities)
            for place, service in enumerate(self._services):
                again = partial(self._running.__setitem__, place)
                self._running.append(await launch.start(stack, service, again))
                self._join((service,), capabilities)
            self._stack = stack.pop_all()

    def _join(self, services: Sequence[Service], capabilities: Capabilities) -> None:
        for service in services:
            self._flight.join(service.name, covered(service, capabilities))

    async def _forget_kept(self) -> None:
        """Take the values away that a shared broker would keep for ever: ours, dead letters too."""
        kept = {message.topic for message in self._record.messages if message.retain}
        try:
            await self._open().send([Message(topic, b"", retain=True) for topic in sorted(kept)])
        except BrokerError as error:
            logger.warning("kept values stay on the broker", extra={"error": str(error)})

    async def _relayed(self) -> bool:
        """Have what lies in outboxes published; say whether anything is in flight thereby."""
        for running in self._running:
            if running.relay is not None:
                await running.relay.flush()
        return not self._flight.idle

    async def _progress(self) -> None:
        """Wait until something moves, and see to it that something can."""
        clock = self._environment.clock
        if not isinstance(clock, ManualClock):
            await self._unless_ended(self._flight.landed())
            return
        await rest()
        if self._flight.idle:
            return
        moves = self._flight.moves
        workers = [running.worker for running in self._running if running.worker]
        due = [worker.next_due for worker in workers]
        soonest = min((moment for moment in due if moment is not None), default=None)
        if soonest is None or any(worker.busy for worker in workers):
            await self._unless_ended(self._flight.moved(moves))
        else:
            await clock.advance(max(0.0, soonest - clock.monotonic()))

    async def _unless_ended(self, waiting: Awaitable[None]) -> None:
        """Wait, but no longer than every service consumes."""
        tasks = [asyncio.ensure_future(waiting)]
        tasks.extend(
            asyncio.ensure_future(running.wait()) for running in self._running if running.worker
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in done:
            task.result()

    def _manual(self) -> ManualClock:
        clock = self._environment.clock
        if not isinstance(clock, ManualClock):
            raise ConfigurationError("this world runs in real time: give it clock=ManualClock()")
        return clock

    def _open(self) -> Running:
        if self._driver is None:
            raise ConfigurationError("the world has not begun: use the harness in 'async with'")
        return self._driver

    def _told(self) -> Chronicle:
        if self._chronicle is None:
            raise ConfigurationError("the world has not begun: use the harness in 'async with'")
        return self._chronicle


def _fresh(url: str) -> str:
    """Give a ``memory://`` without a name one that nobody else has."""
    parts = urlsplit(url)
    if parts.scheme != MEMORY or parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"world-{SystemIds().new()}"))
