"""KafkaConsumer: a member of a group for as long as its owner wants, whatever clients do."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidSessionTimeoutError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from choreo.broker import Consumer, Listener, Notice, Progress, Subscription
from choreo.delivery.contact import Contact
from choreo.errors import BrokerError, ConfigurationError
from choreo.message import Delivery
from choreo_kafka.client import Clients
from choreo_kafka.membership import Membership, Plan
from choreo_kafka.settings import KafkaSettings
from choreo_kafka.streams import Streams

logger = logging.getLogger(__name__)

JOIN_SECONDS = 15.0
"""How long entering a subscription waits for the first assignment, before it goes on without."""
REBUILD_DELAY = 0.2
MAX_REBUILD_DELAY = 5.0
CLOSE_MARGIN = 10.0
"""Seconds beyond the close timeout after which a consumer that does not end is abandoned."""
REFUSALS = (
    GroupAuthorizationFailedError,
    InvalidSessionTimeoutError,
    TopicAuthorizationFailedError,
)
"""What says that joining again as we are will not help."""


class KafkaConsumer:
    """Polls, settles and commits through one client object at a time, replacing broken ones."""

    def __init__(
        self,
        clients: Clients,
        settings: KafkaSettings,
        subscription: Subscription,
        listener: Listener,
    ) -> None:
        settings.request(settings.rebalance(subscription.drain))  # refuse early what cannot fit
        self._settings = settings
        self._streams = Streams(subscription)
        self._plan = Plan(
            clients=clients,
            settings=settings,
            subscription=subscription,
            listener=listener,
            streams=self._streams,
            closing=asyncio.Event(),
            joined=asyncio.Event(),
            contact=Contact(self._tell),
        )
        self._membership: Membership | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: BrokerError | ConfigurationError | None = None
        self._polling = False

    async def open(self) -> None:
        """Join the group; raise ConfigurationError for topics that do not exist."""
        self._task = asyncio.create_task(self._live(), name="kafka consumer")
        joined = asyncio.create_task(self._plan.joined.wait(), name="kafka join")
        await asyncio.wait(
            {self._task, joined}, timeout=JOIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        joined.cancel()
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Commit what is settled and leave; bounded, whatever state the broker is in."""
        self.stop_intake()
        self._plan.closing.set()
        if self._task is not None:
            seconds = self._settings.close_timeout.total_seconds() + CLOSE_MARGIN
            await asyncio.wait({self._task}, timeout=seconds)
            if not self._task.done():
                logger.error("a Kafka consumer did not end in time and is abandoned")
                self._task.cancel()

    # the port

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for deliveries and hand over at least one and at most *limit* of them."""
        if limit < 1:
            raise ValueError(f"poll({limit}): ask for at least one")
        if self._polling:
            raise BrokerError("two polls at once on one consumer: let one task poll")
        self._polling = True
        try:
            await asyncio.sleep(0)  # a busy worker must not starve the tasks that feed it
            return await self._next(limit)
        finally:
            self._polling = False

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        """Note that *deliveries* are done and must never be handed over again."""
        self._streams.settle(deliveries)

    def stop_intake(self) -> None:
        """Hand over nothing more; a waiting poll returns empty. Deliveries stay valid."""
        self._streams.stopped = True
        self._streams.ready.set()

    async def flush(self) -> None:
        """Commit everything settled so far, as far as the broker can be reached in 4 s."""
        if self._membership is not None:
            await self._membership.flush()

    def progress(self) -> Sequence[Progress]:
        """Say where each stream stands."""
        return [stream.progress() for stream in self._streams]

    # its life

    def _tell(
        self, kind: Literal["connection_lost", "reconnected"], text: str, unheard: float, /
    ) -> None:
        streams = self._streams.names
        self._plan.listener.notice(Notice(kind=kind, text=text, streams=streams, unheard=unheard))

    async def _next(self, limit: int) -> Sequence[Delivery]:
        streams = self._streams
        while not streams.stopped:
            if self._failure is not None:
                raise self._failure
            streams.ready.clear()
            if taken := streams.take(limit):
                return taken
            await streams.ready.wait()
        return ()

    async def _live(self) -> None:
        try:
            await self._replace_until_closed()
        except (BrokerError, ConfigurationError) as error:
            self._failure = error
        except Exception as error:  # a task's border: the owner learns it from its poll
            logger.exception("a Kafka consumer failed by our own fault")
            self._failure = BrokerError(f"the Kafka consumer failed: {error!r}")
        finally:
            self._streams.ready.set()

    async def _replace_until_closed(self) -> None:
        plan, failures, refused_since = self._plan, 0, None
        loop = asyncio.get_running_loop()
        while not plan.closing.is_set():
            membership = self._membership = Membership(plan, failures)
            try:
                reason = await membership.run()
            except ConfigurationError as error:
                if not plan.joined.is_set():
                    raise
                reason = str(error)
            except (KafkaError, TimeoutError, OSError) as error:
                reason = repr(error)
            if plan.closing.is_set():
                return
            failures = 0 if membership.healthy else failures + 1
            refused = any(refusal.__name__ in reason for refusal in REFUSALS)
            refused_since = (refused_since or loop.time()) if refused else None
            self._raise_if_refused(refused_since, reason)
            plan.listener.notice(Notice(kind="rebuilt", text=f"the Kafka client: {reason}"))
            await self._pause(min(REBUILD_DELAY * 2**failures, MAX_REBUILD_DELAY))

    def _raise_if_refused(self, since: float | None, reason: str) -> None:
        patience = self._settings.stall_timeout.total_seconds()
        if since is not None and asyncio.get_running_loop().time() - since > patience:
            raise BrokerError(
                f"{self._settings.url} refuses group {self._plan.subscription.group!r}, its "
                f"topics or its session timeout: {reason}"
            )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._plan.closing.wait()
        except TimeoutError:
            return


_: type[Consumer] = KafkaConsumer
