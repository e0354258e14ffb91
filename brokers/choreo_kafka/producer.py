"""Publishing: many messages for one receipt, in order per partition, whatever becomes of brokers.

Theory of operation.  Each partition has an outlet, a queue with at most one batch on its way; while
that is awaited, what other calls publish gathers behind it and goes out as the next batch.  So one
message alone goes out at once, many go out together, and nothing overtakes.  A call waits for its
receipt, and no longer than the publish timeout: what has no answer by then is unknown (P2).
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta

from aiokafka.errors import KafkaError

from choreo.errors import ConnectionLost
from choreo.message import Message
from choreo_kafka.client import Batch, Clients, described
from choreo_kafka.deadlines import Deadlines
from choreo_kafka.dismantling import stop
from choreo_kafka.generation import Generation
from choreo_kafka.outlet import Outlet, TopicLimits
from choreo_kafka.partitioner import Partitioner
from choreo_kafka.produce_errors import Fate, fate_of
from choreo_kafka.receipt import Item, Receipt, accept, doubt
from choreo_kafka.settings import KafkaSettings, topic_problem

logger = logging.getLogger(__name__)

RETRY_DELAY = 0.2
"""Seconds before the next attempt to build a producer; doubles up to MAX_RETRY_DELAY."""
MAX_RETRY_DELAY = 2.0
RECOUNT_SECONDS = 1.0
"""How often to look whether topics have grown."""

Spread = tuple[Partitioner, Sequence[Outlet]]
"""Where the messages to one topic go: the partition of each key, and the outlets of all."""


class Producer:
    """Publishes through one producer object at a time."""

    def __init__(self, clients: Clients, settings: KafkaSettings) -> None:
        self._clients = clients
        self._settings = settings
        self._default_limits = TopicLimits(
            message_bytes=settings.max_message_bytes, payload_bytes=settings.max_message_bytes
        )
        self.limits: dict[str, TopicLimits] = {}
        """What topics are known to refuse."""
        self._outlets: dict[tuple[str, int], Outlet] = {}
        self._spreads: dict[str, Spread] = {}
        self._counts: dict[str, int] = {}
        self._recount_at = 0.0
        self._deadlines = Deadlines(settings.publish_timeout.total_seconds())
        self._current: Generation | None = None
        self._building = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._failures = 0

    async def open(self) -> None:
        """Start the first producer object; raise KafkaError or TimeoutError if there is none."""
        self._current = await self._build()

    async def close(self) -> None:
        """Give up what was not answered and let go of the client; bounded."""
        self._closed = True
        self._deadlines.close()
        for outlet in self._outlets.values():
            if outlet.task is not None:
                outlet.task.cancel()
        if self._current is not None:
            self._retire(self._current)
        while self._tasks:
            await asyncio.wait(self._tasks)
        for outlet in self._outlets.values():
            doubt(outlet.waiting, "the broker was closed before it was sent")
            outlet.waiting.clear()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return once every message is stored; raise PublishError telling what was not."""
        if not messages:
            return
        if self._closed:
            raise ConnectionLost(f"{self._settings.url} is closed")
        receipt = Receipt(messages)
        watched = self._deadlines.watch(receipt)
        try:
            counts = self._counted(receipt)
            if counts is None:
                counts = await self._count(receipt)
            if not receipt.done.done():
                self._enqueue(receipt, counts)
                await receipt.done
        finally:
            receipt.close()
            watched.discard(receipt)
        receipt.raise_unless_accepted()

    # where to

    def _counted(self, receipt: Receipt) -> Mapping[str, int] | None:
        """Tell the partitions of every topic, if all are known; look now and then for more."""
        now = asyncio.get_running_loop().time()
        if now > self._recount_at:
            self._recount_at = now + RECOUNT_SECONDS
            _ = self._spawn(self._recount(), "count partitions")
        known = self._counts
        return known if {message.topic for message in receipt.messages} <= known.keys() else None

    async def _count(self, receipt: Receipt) -> Mapping[str, int]:
        """Count the partitions of topics not seen before; those that do not exist have none (K33).

        Waits for a broker that tells, but no longer than *receipt* has time.
        """
        counting = self._spawn(self._count_all(receipt), "count partitions")
        try:
            await asyncio.wait({counting, receipt.done}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            counting.cancel()
        return self._counts

    async def _count_all(self, receipt: Receipt) -> None:
        for topic in {message.topic: None for message in receipt.messages}:
            if topic not in self._counts and topic_problem(topic) is None:
                count = await self._count_one(topic)
                if count:
                    self._counts[topic] = count

    async def _recount(self) -> None:
        """Follow topics that grow; the client refreshes what it knows of them by itself."""
        for topic in tuple(self._counts):
            if self._current is not None:
                try:
                    async with asyncio.timeout(RETRY_DELAY):
                        self._counts[topic] = len(await self._current.raw.partitions_for(topic))
                except (KafkaError, TimeoutError):
                    continue  # what was known of it must do

    async def _count_one(self, topic: str) -> int:
        while True:
            generation = await self._generation()
            try:
                if generation is not None:
                    if not await described(generation.raw, [topic]):
                        return 0
                    return len(await generation.raw.partitions_for(topic))
            except KafkaError as error:
                if not error.retriable:
                    logger.warning(
                        "a topic cannot be looked up", extra={"topic": topic, "error": repr(error)}
                    )
                    return 0
                await asyncio.sleep(RETRY_DELAY)

    def _enqueue(self, receipt: Receipt, counts: Mapping[str, int]) -> None:
        keyless: dict[str, Outlet] = {}
        touched: dict[Outlet, None] = {}
        topic: str | None = None
        spread: Spread | None = None
        for index, message in enumerate(receipt.messages):
            if message.topic != topic:
                topic = message.topic
                spread = self._spread(topic, counts.get(topic))
            if spread is None or message.retain:
                receipt.refuse(index, _unfit(message))
                continue
            partitions, outlets = spread
            if (key := message.key) is not None:
                outlet = outlets[partitions[key]]
            elif (found := keyless.get(message.topic)) is not None:
                outlet = found
            else:
                outlet = keyless[message.topic] = outlets[partitions.next()]
            outlet.waiting.append((receipt, index))
            touched[outlet] = None
        for outlet in touched:
            if outlet.task is None:
                outlet.task = self._spawn(self._drain(outlet), f"publish {outlet.topic}")

    def _spread(self, topic: str, count: int | None) -> Spread | None:
        """Tell where messages to *topic* go; None if it has no partitions."""
        spread = self._spreads.get(topic)
        if not count or (spread is not None and spread[0].count == count):
            return spread if count else None
        places = [(topic, partition) for partition in range(count)]
        outlets = [self._outlets.setdefault(place, Outlet(*place)) for place in places]
        spread = self._spreads[topic] = (Partitioner(count), outlets)
        return spread

    # on its way

    async def _drain(self, outlet: Outlet) -> None:
        """Send what waits in *outlet*, batch by batch, until nothing does."""
        try:
            while outlet.waiting:
                generation = await self._generation()
                if generation is None:
                    outlet.drop_closed()
                    continue
                limits = self.limits.get(outlet.topic, self._default_limits)
                batch, items = outlet.cut(generation.raw, limits, self._settings.batch_bytes)
                if items:
                    await self._send(generation, outlet, batch, items)
        finally:
            outlet.task = None

    async def _send(
        self, generation: Generation, outlet: Outlet, batch: Batch, items: list[Item]
    ) -> None:
        timeout = self._settings.publish_timeout.total_seconds()
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            await generation.send(batch, outlet.topic, outlet.partition, deadline)
        except asyncio.CancelledError:
            doubt(items, "the broker was closed before it was acknowledged")
            raise
        except (KafkaError, TimeoutError) as error:
            fate = fate_of(error, records=len(items))
            logger.warning(
                "a batch was not acknowledged",
                extra={
                    "topic": outlet.topic,
                    "partition": outlet.partition,
                    "messages": len(items),
                    "fate": fate.value,
                    "error": repr(error),
                },
            )
            _settle(fate, outlet, items, repr(error))
            self._retire(generation)
            await asyncio.wait({generation.ended})
        else:
            accept(items)

    # the producer object

    async def _generation(self) -> Generation | None:
        """Return the producer object to use, building one if need be; None if that failed."""
        if self._current is None:
            async with self._building:
                if self._current is None:
                    try:
                        self._current = await self._build()
                        self._failures = 0
                    except (KafkaError, TimeoutError, OSError) as error:
                        self._failures += 1
                        logger.warning("no Kafka producer", extra={"error": repr(error)})
                        await asyncio.sleep(min(RETRY_DELAY * 2**self._failures, MAX_RETRY_DELAY))
        return self._current

    async def _build(self) -> Generation:
        raw = self._clients.producer()
        try:
            async with asyncio.timeout(self._settings.connect_timeout.total_seconds()):
                await raw.start()
        except BaseException:
            await stop(raw, timedelta(0))
            raise
        return Generation(raw)

    def _retire(self, generation: Generation) -> None:
        if not generation.retiring:
            generation.retiring = True
            if self._current is generation:
                self._current = None
            _ = self._spawn(generation.end(self._settings.close_timeout), "retire a Kafka producer")

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("publishing failed by our own fault", exc_info=task.exception())


def _settle(fate: Fate, outlet: Outlet, items: list[Item], reason: str) -> None:
    match fate:
        case Fate.REFUSED:
            for receipt, index in items:
                receipt.refuse(index, reason)
        case Fate.SPOILT:
            outlet.give_back(items)
        case Fate.UNKNOWN:
            doubt(items, reason)


def _unfit(message: Message) -> str:
    if message.retain:
        return "Kafka keeps no last value per topic: publish without retain"
    return topic_problem(message.topic) or (
        f"topic {message.topic!r} does not exist: create it first"
    )
