"""One client object's life in the group, from joining it to leaving it or being replaced."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from choreo.broker import Listener, Notice, Subscription
from choreo.delivery.contact import Contact
from choreo.errors import ConfigurationError
from choreo_kafka.client import Clients, RawConsumer, described, refresh, severed, tracked
from choreo_kafka.committer import Committer
from choreo_kafka.dismantling import stop
from choreo_kafka.fencing import Fence
from choreo_kafka.fetching import hasten, spare_copies
from choreo_kafka.hearing import Hearing
from choreo_kafka.intake import Intake
from choreo_kafka.settings import REVOKE_MARGIN, KafkaSettings
from choreo_kafka.streams import Streams
from choreo_kafka.watchdog import Watchdog

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
BARE_SECONDS = 5.0
"""How long a member without partitions waits before it asks for metadata again."""
LAST_COMMIT = REVOKE_MARGIN.total_seconds() - 1.0
"""Seconds for the commit after a drain; the rest of the margin is for the join itself."""
APPEAR_SECONDS = 2.0
"""How long a topic that brokers do not tell of is asked for before it is held not to exist."""
APPEAR_PAUSE = 0.1
MAX_PATIENCE = 8
"""How many times the stall timeout is waited, at most, where replacing did not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What does not change from one client object to the next."""

    clients: Clients
    settings: KafkaSettings
    subscription: Subscription
    listener: Listener
    streams: Streams
    closing: asyncio.Event
    """Set when the consumer is to leave."""
    joined: asyncio.Event
    """Set once the first assignment is being read."""
    contact: Contact


class Membership:
    """Joins with a client object of its own and watches it."""

    def __init__(self, plan: Plan, failures: int) -> None:
        """*failures* is how many before this one ended without any progress."""
        self._plan = plan
        self._raw = plan.clients.member(plan.subscription.group, plan.subscription.drain)
        stall = plan.settings.stall_timeout.total_seconds()
        rebalance = plan.settings.rebalance(plan.subscription.drain).total_seconds()
        patience = stall * min(2**failures, MAX_PATIENCE)
        self._watchdog = Watchdog(patience=patience, join_patience=rebalance + patience, now=_now())
        notice = plan.listener.notice
        self._committer = Committer(
            self._raw, plan.streams, notice, plan.settings.commit_interval.total_seconds()
        )
        self._intake = Intake(self._raw, plan.streams, plan.subscription, self._watchdog, notice)
        self._hearing = Hearing(plan.contact)
        self._releasing = asyncio.Lock()
        self._bare_since = _now()

    @property
    def healthy(self) -> bool:
        """Whether this client object was ever answered as it should."""
        return self._watchdog.healthy

    async def run(self) -> str:
        """Work until the consumer closes, or say why this client object must be replaced.

        Raises KafkaError or TimeoutError when it could not even be started, and ConfigurationError
        for a topic that does not exist.
        """
        plan = self._plan
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(plan.settings.connect_timeout.total_seconds()):
                await self._raw.start()
                Fence(self._raw)
                hasten(self._raw)
                spare_copies(self._raw)
                await _check_topics(self._raw, plan.subscription)
                names = [topic.name for topic in plan.subscription.topics]
                await tracked(self._raw, names)
            self._raw.subscribe(names, listener=_Rebalance(self))
            tasks.append(asyncio.create_task(self._intake.run(), name="kafka intake"))
            tasks.append(asyncio.create_task(self._committer.run(), name="kafka commits"))
            return await self._watch(tasks)
        finally:
            self._intake.ending = True
            if not plan.closing.is_set():
                plan.contact.lost("the client is replaced")
            await self._release()
            await stop(self._raw, plan.settings.close_timeout)
            await self._committer.close()
            for task in tasks:  # its client being gone, a poll has nothing left to lose
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def flush(self) -> None:
        """Commit what is settled, as far as the broker can be reached."""
        await self._committer.flush(LAST_COMMIT)

    async def _watch(self, tasks: Collection[asyncio.Task[None]]) -> str:
        closing = asyncio.create_task(self._plan.closing.wait(), name="kafka closing")
        try:
            while not self._plan.closing.is_set():
                before = _now()
                await asyncio.wait(
                    {*tasks, closing}, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if _now() - before > self._plan.settings.session_timeout.total_seconds():
                    # Frozen, or blocked: by now the group has given our work to others (K10, K11).
                    return f"this process stood still for {_now() - before:.1f} s"
                for task in tasks:
                    if task.done():
                        return f"{task.get_name()} ended: {task.exception()!r}"
                if self._committer.broken:
                    return "commits fail or are not answered"
                if self._intake.joined.is_set():
                    self._plan.joined.set()
                self._refresh_if_bare()
                if verdict := self._verdict():
                    return verdict
            return "closing"
        finally:
            closing.cancel()

    def _refresh_if_bare(self) -> None:
        """Ask for metadata while we hold nothing: there may be partitions nobody was told of."""
        if self._raw.assignment():
            self._bare_since = _now()
        elif _now() - self._bare_since > BARE_SECONDS:
            self._bare_since = _now()
            refresh(self._raw)

    def _verdict(self) -> str | None:
        streams, held = self._plan.streams, set(self._raw.assignment())
        hungry, fed = streams.wanting()
        read = {s.name: s for s in hungry + fed if s.place in held} if streams.room else {}
        signs = {
            name: (self._raw.last_poll_timestamp(s.place), s.fetched) for name, s in read.items()
        }
        if self._intake.joined.is_set():
            asked = {s.name: signs[s.name] for s in hungry if s.name in signs}
            self._hearing.hear(asked, severed=severed(self._raw), now=_now())
        self._watchdog.watch(signs, [name for name in streams.names if name not in read], _now())
        return self._watchdog.verdict(_now())

    # giving partitions back

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Take what the group gave us."""
        self._intake.assigned(partitions)
        self._committer.assigned()

    async def revoked(self) -> None:
        """Give back what the group gave us, within the rebalance timeout; never raises."""
        self._intake.revoked()
        await self._release()

    async def _release(self) -> None:
        """Let the owner finish, commit that, and fence whatever comes later (K6 to K9)."""
        async with self._releasing:
            streams = self._plan.streams
            if not len(streams):
                return
            streams.seal()
            names = streams.names
            await self._drain(names)
            if not await self._committer.flush(LAST_COMMIT):
                logger.warning("partitions were lost before their last commit")
            streams.clear()
            self._plan.listener.notice(
                Notice(kind="revoked", text=f"{len(names)} partitions", streams=names)
            )

    async def _drain(self, names: tuple[str, ...]) -> None:
        plan = self._plan
        if plan.closing.is_set():
            return
        work = asyncio.ensure_future(plan.listener.revoking(names))
        closing = asyncio.create_task(plan.closing.wait(), name="kafka closing")
        await asyncio.wait(
            {work, closing},
            timeout=plan.subscription.drain.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        closing.cancel()
        if work.done():
            _report(work)
        else:
            logger.warning("work was not finished in time and is fenced", extra={"streams": names})
            work.cancel()  # and not waited for: who does not end in time may not end at all (A2)
            work.add_done_callback(_report)


class _Rebalance(ConsumerRebalanceListener):
    """What aiokafka calls; it would swallow any exception, so there is none (K8)."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride] - may be either
        self,
        revoked: Collection[TopicPartition],  # noqa: ARG002 - always all of them (K6)
    ) -> None:
        await self._membership.revoked()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._membership.assigned(frozenset(assigned))


async def _check_topics(raw: RawConsumer, subscription: Subscription) -> None:
    """Refuse topics that do not exist: joining with them would make brokers create them (K33)."""
    names = [topic.name for topic in subscription.topics]
    appear = _now() + APPEAR_SECONDS
    while missing := await _missing(raw, names):
        if _now() < appear:  # a broker may not have heard yet of what another has just created
            await asyncio.sleep(APPEAR_PAUSE)
            continue
        raise ConfigurationError(
            f"topics {', '.join(map(repr, missing))} do not exist: let prepare create them"
        )


async def _missing(raw: RawConsumer, names: Sequence[str]) -> Sequence[str]:
    found = await described(raw, names)
    return [name for name in names if name not in found]


def _report(work: "asyncio.Future[None]") -> None:
    if not work.cancelled() and work.exception() is not None:
        logger.error("a listener failed while streams were revoked", exc_info=work.exception())


def _now() -> float:
    return asyncio.get_running_loop().time()
