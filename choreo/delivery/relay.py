"""The relay: publishes what transactions left in the outbox, in order per lane, and deletes it.

Theory of operation.  The relays of a service share the outbox's shards by leases (see ``tenure``).

    read ─► wave ─► receipt ─► wave … ─► settle ─► rest      no lock, and no transaction outside

Timers that are due become rows before a turn reads: the relay looks for them when it has nothing
else to do, when the next that it knows of is due, and now and then in between.

The lease is looked at before each wave, with nothing awaited in between.  A wave that was under way
when the process died is sent again, under the same ids (O1); so is the one wave that a paused
process had handed to its client, and which no lease can call back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import get_ident

from choreo.delivery.rest import Rest, pause
from choreo.delivery.tenure import Life, Tenure
from choreo.delivery.waves import Refusing, Round
from choreo.environment import Environment
from choreo.errors import BrokerError, PublishError, StoreError
from choreo.failpoints import reached
from choreo.message import Message
from choreo.retry import Retry
from choreo.store.outbox import Backlog, Outbox, Row

logger = logging.getLogger(__name__)

Publish = Callable[[Sequence[Message]], Awaitable[None]]
"""As ``Broker.publish``, and like it without a queue before it: a wave goes out now or not."""
Stamp = Callable[[Message, int, int], Message]
"""Writes a number and its producer epoch into a message."""

TROUBLE = Retry(initial=timedelta(milliseconds=100), maximum=timedelta(seconds=5))
"""Pauses while the broker or the store does not answer."""
SETTLE = 0.25
"""Seconds of a round after which what was accepted is deleted: what a kill repeats at most."""
POLL = timedelta(seconds=1)
"""How often a relay looks for what nobody told it of."""
GLANCE = 0.1
"""Seconds between two looks for due timers while there is enough else to do."""
SOONEST = 0.001
"""Least seconds to wait for a timer: clocks that disagree by less would have the relay spin."""
OBSERVE = timedelta(seconds=5)
"""How often the backlog is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """How a relay works."""

    lease: timedelta = timedelta(seconds=10)
    """How long a dead relay's shards wait for another."""
    poll: timedelta = POLL
    """Longest wait of a row that nobody woke the relay for (O6)."""
    batch: int = 500
    """Rows read at once, more or less."""
    run: int = 1
    """Rows of one lane in one call: more are faster for a lone busy key, but where the broker
    refuses one of them the others overtake it."""
    refusing: Refusing = field(default_factory=Refusing)
    leave: timedelta = timedelta(seconds=5)
    """Time to give the shards back at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayState:
    """Where a relay stands, for gauges and counters."""

    shards: int
    """Shards it holds."""
    relays: int
    """Relays of the service that were alive when it last looked."""
    backlog: Backlog
    """Of its shards, counted every few seconds."""
    published: int
    refused: int
    """Refusals, those of one row counted each."""
    doubted: int
    """Rows sent again because nothing was known of them."""
    fenced: int
    """How often it found its lease ended, or a shard taken over."""


class Relay:
    """One process's share in emptying a service's outbox."""

    def __init__(
        self,
        outbox: Outbox,
        publish: Publish,
        environment: Environment,
        settings: RelaySettings | None = None,
        *,
        stamp: Stamp | None = None,
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        self._outbox = outbox
        self._publish = publish
        self._environment = environment
        self._settings = settings or RelaySettings()
        self._stamp = stamp
        self._tenure = Tenure(outbox, environment, self._settings.lease, self.wake, elapsed)
        self._awake = asyncio.Event()
        self._stirred = asyncio.Event()
        self._roused = False
        """Both are set, and neither was cleared since."""
        self._stopping = asyncio.Event()
        self._flushes: list[asyncio.Future[None]] = []
        self._rest = Rest(environment.clock, self._settings.batch)
        self._troubles = 0
        self._next: float | None = None
        """Seconds until the next timer is due, as it was last told."""
        self._look = 0.0
        """When timers are to be looked for even if there are rows, on the monotonic clock."""
        self._published = self._refused = self._doubted = 0
        self._backlog = Backlog()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    @property
    def state(self) -> RelayState:
        """Where it stands; cheap, no I/O."""
        life = self._tenure.life
        return RelayState(
            shards=0 if life.ended else len(life.shards),
            relays=self._tenure.relays,
            backlog=self._backlog,
            published=self._published,
            refused=self._refused,
            doubted=self._doubted,
            fenced=self._tenure.fenced,
        )

    async def run(self) -> None:
        """Relay until stopped or cancelled, then give everything back."""
        self._loop, self._thread = asyncio.get_running_loop(), get_ident()
        try:
            async with asyncio.TaskGroup() as group:
                beside = (
                    group.create_task(self._tenure.keep(), name="choreo relay lease"),
                    group.create_task(self._observe(), name="choreo relay backlog"),
                )
                await self._pump()
                for task in beside:
                    task.cancel()
        finally:
            self._stopping.set()
            await self._tenure.leave(self._settings.leave)
            _tell(self._flushes)

    def wake(self) -> None:
        """Say that rows were committed; from any thread, harmless at any time."""
        if self._roused:  # and not looked since
            return
        if self._loop is None or get_ident() == self._thread:
            self._rouse()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rouse)

    def _rouse(self) -> None:
        self._roused = True
        self._awake.set()
        self._stirred.set()

    async def flush(self) -> None:
        """Return once all that was committed before, and can be published, is published.

        Of the shards of this relay; at once if it does not run. Bound it from outside.
        """
        if self._stopping.is_set() or self._loop is None:
            return
        receipt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append(receipt)
        self._rest.end()
        self.wake()
        await receipt

    def stop(self) -> None:
        """Have ``run`` end after the round that is under way, its shards given back."""
        self._stopping.set()
        self._rest.end()
        self._awake.set()

    # what goes out

    async def _pump(self) -> None:
        while not self._stopping.is_set():
            self._roused = False
            self._awake.clear()
            asked = list(self._flushes)
            try:
                read = await self._turn()
                if read is not None:
                    await self._rest.take(read)
                    continue
            except StoreError as error:
                await self._trouble("the outbox does not answer", error)
            except BrokerError as error:
                await self._trouble("the broker takes nothing from the outbox", error)
            except Exception as error:
                # The boundary of the relay's task: it must not end for one bad round.
                logger.exception("relaying failed by our own fault")
                await self._trouble("relaying failed", error)
            else:
                if self._tenure.known:
                    self._flushes = [receipt for receipt in self._flushes if receipt not in asked]
                    _tell(asked)
                await pause(self._environment.clock, self._awake, self._idle())

    async def _turn(self) -> Sequence[Row] | None:
        """Read and publish once; return what was read, or None if there was nothing to do.

        Raises BrokerError if nothing at all was accepted although nothing was refused.
        """
        await self._tenure.give_back()
        life = self._tenure.life
        if self._tenure.left(life) <= 0:
            return None
        looked = self._environment.clock.monotonic() >= self._look
        fired = looked and await self._fire(life)
        rows = await self._rest.timed(self._outbox.read(life.holder, self._settings.batch))
        if not rows:
            self._troubles = 0
            return () if (fired if looked else await self._fire(life)) else None
        self._stirred.set()
        reached("relay_read")
        going = Round(
            rows, self._settings.refusing, self._environment.random, run=self._settings.run
        )
        before = self._published + self._refused
        problem = await self._send(life, going)
        self._doubted += going.doubted
        await self._settle(life, going)
        if self._published + self._refused > before:
            self._troubles = 0
        elif problem is not None:
            raise problem
        return rows

    async def _fire(self, life: Life) -> bool:
        """Make rows of timers that are due; False if none is."""
        left = await self._outbox.fire(life.holder, self._settings.batch)
        clock = self._environment.clock
        self._next = None if left is None else max(SOONEST, left.total_seconds())
        self._look = clock.monotonic() + min(GLANCE, self._next or GLANCE)
        return left is not None and left <= timedelta(0)

    def _idle(self) -> float:
        """Tell for how many seconds nothing is known to be due."""
        poll = self._settings.poll.total_seconds()
        return poll if self._next is None else min(poll, self._next)

    async def _send(self, life: Life, going: Round) -> BrokerError | None:
        """Publish wave after wave while the lease holds; return the last trouble met."""
        problem: BrokerError | None = None
        clock = self._environment.clock
        settle_at = clock.monotonic() + SETTLE
        while wave := going.wave():
            messages = [self._message(row) for row in wave]
            # From this look to the call nothing is awaited.
            if self._tenure.left(life) <= 0:
                going.drop()
                break
            try:
                async with self._tenure.sending(life):
                    reached("relay_sending")
                    await self._publish(messages)
                    reached("relay_sent")
            except PublishError as error:
                going.landed(error.refused, error.unknown)
                problem = error if error.unknown else problem
                _warn(wave, error)
            except BrokerError as error:
                going.lost()
                problem = error
            except TimeoutError:
                going.lost()
                problem = BrokerError("the lease ended before the broker answered")
            else:
                going.landed()
            if clock.monotonic() >= settle_at:
                await self._settle(life, going)
                settle_at = clock.monotonic() + SETTLE
        return problem

    async def _settle(self, life: Life, going: Round) -> None:
        settled = going.settled()
        if not settled:
            return
        self._published += len(settled.accepted)
        self._refused += len(settled.refused)
        for row in (one.row for one in settled.refused if one.row.problem):
            logger.warning("cannot read a row of the outbox", extra={"event": row.identity})
        lost = await self._rest.timed(self._outbox.settle(life.holder, settled))
        reached("relay_settled")
        if lost:
            self._tenure.end(life, "shards were taken over while rows were sent", lost)

    def _message(self, row: Row) -> Message:
        if row.number is None or row.epoch is None or self._stamp is None:
            return row.message
        return self._stamp(row.message, row.number, row.epoch)

    async def _observe(self) -> None:
        while True:
            self._roused = False
            self._stirred.clear()
            try:
                self._backlog = await self._outbox.backlog(self._tenure.life.holder)
            except Exception as error:  # noqa: BLE001 -- a gauge's task must not end the relay's
                logger.debug("the outbox's backlog is unknown", extra={"error": repr(error)})
            else:
                if self._backlog == Backlog() and self._tenure.known:
                    await self._stirred.wait()  # an outbox at rest asks for nothing
            await self._environment.clock.sleep(OBSERVE.total_seconds())

    # waiting

    async def _trouble(self, text: str, error: BaseException) -> None:
        """Wait, longer each time: however much is committed meanwhile, nobody wakes it."""
        self._troubles += 1
        self._stirred.set()
        if self._troubles in {1, 10} or self._troubles % 100 == 0:
            names = {"error": repr(error), "times": self._troubles}
            logger.warning(text, extra=names)
        delay = TROUBLE.backoff(self._troubles, self._environment.random)
        await pause(self._environment.clock, self._stopping, delay)


def _tell(flushes: Sequence[asyncio.Future[None]]) -> None:
    for receipt in flushes:
        if not receipt.done():
            receipt.set_result(None)


def _warn(wave: Sequence[Row], error: PublishError) -> None:
    for index, reason in error.refused.items():
        names = {
            "event": wave[index].identity,
            "topic": wave[index].message.topic,
            "attempt": wave[index].attempts + 1,
            "error": reason,
        }
        logger.warning("the broker refused an event of the outbox", extra=names)
