"""The one task that polls the client: places partitions, reads ahead, reports trouble.

Theory of operation.  The client is polled all the time, so that it never leaves the group for
idling (K12), and a poll is never cancelled (K13, K14).  Backpressure asks for some partitions only:
those left out keep what the client has fetched of them, whereas pausing would throw it away, and
there is no flag that a rebalance could forget (K6).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import TopicPartition

from choreo.broker import Notice, Subscription
from choreo_kafka.client import RawConsumer, Record, spoilt_record
from choreo_kafka.isolation import Isolation
from choreo_kafka.offsets import Place, Start
from choreo_kafka.placing import growth, place
from choreo_kafka.stream import Stream
from choreo_kafka.streams import Streams
from choreo_kafka.watchdog import Watchdog

logger = logging.getLogger(__name__)

NOWHERE = TopicPartition("", 0)
"""Asked for when nothing is wanted: the poll keeps us in the group and hands over nothing."""
POLL_MS = 100
HELD_BACK_SECONDS = 0.01
"""Between two polls that find nothing while a partition is left out that has enough for now: it is
asked again as soon as some of that was taken, which no poll would notice."""
REST_SECONDS = 0.5
PLACE_SECONDS = 20.0
"""Time to learn where assigned partitions begin before the client object is held to be broken."""
PAUSE_AFTER_ERROR = 0.2


class Intake:
    """Reads ahead for one client object."""

    def __init__(
        self,
        raw: RawConsumer,
        streams: Streams,
        subscription: Subscription,
        watchdog: Watchdog,
        notice: Callable[[Notice], None],
    ) -> None:
        self._raw = raw
        self._streams = streams
        self._start: Start = subscription.start
        self._watchdog = watchdog
        self._notice = notice
        self._isolation = Isolation(raw, notice)
        self._unplaced: frozenset[TopicPartition] = frozenset()
        self.joined = asyncio.Event()
        """Set while there is an assignment, empty or not, and it is being read."""
        self.ending = False

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Read *partitions* from now on, once it is known from where."""
        self._streams.clear()
        self._unplaced = partitions
        if not partitions:
            self._begin([])

    def revoked(self) -> None:
        """Read nothing more until something is assigned."""
        self._unplaced = frozenset()
        self.joined.clear()
        self._watchdog.joining(_now())

    async def run(self) -> None:
        """Poll until *ending*; raise only what ends this client object."""
        while not self.ending:
            try:
                if self._unplaced:
                    await self._place()
                else:
                    await self._round()
                self._watchdog.round(_now())
            except ConsumerStoppedError:
                return
            except OffsetOutOfRangeError as error:
                await self._out_of_range(error)
            except (CommitFailedError, NoOffsetForPartitionError):
                # The group moved on while we looked; the assignment that follows is placed anew.
                await asyncio.sleep(PAUSE_AFTER_ERROR)
            except TimeoutError:
                raise
            except Exception as error:  # noqa: BLE001 - a task's border: anything may come out of a client
                await self._recover(error)

    # one poll

    async def _round(self) -> None:
        streams, room = self._streams, self._streams.room
        for stream in streams.hoarding():
            stream.drop()
            self._raw.seek(stream.place, stream.fetched)
        hungry, fed = streams.wanting()
        streams.room_made.clear()
        if not room or not (hungry or fed):
            await self._rest()
        elif self._isolation.active(_now()):
            for stream, records in await self._isolation.fetch(hungry + fed, room, _now()):
                self._admit({stream.place: records})
        else:
            held_back = streams.held_back
            got = await self._poll(hungry, 0, room) if hungry and fed else None
            got = got or await self._poll(hungry + fed, 0 if held_back else POLL_MS, room)
            self._admit(got)
            if not got:
                await self._catch_up(hungry)
                if held_back:
                    await self._room_made(HELD_BACK_SECONDS)

    async def _poll(
        self, streams: Sequence[Stream], timeout_ms: int, limit: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        places = [stream.place for stream in streams]
        return await self._raw.getmany(*places, timeout_ms=timeout_ms, max_records=limit)

    async def _rest(self) -> None:
        """Stay in the group while there is nothing to read, or no room for it."""
        streams = self._streams
        if not len(streams) or streams.sealed:
            await self._raw.getmany(NOWHERE, timeout_ms=POLL_MS, max_records=1)
            return
        await self._raw.getmany(NOWHERE, timeout_ms=0, max_records=1)
        await self._room_made(REST_SECONDS)

    async def _room_made(self, seconds: float) -> None:
        """Return once something was taken since this round began, or after *seconds*."""
        try:
            async with asyncio.timeout(seconds):
                await self._streams.room_made.wait()
        except TimeoutError:
            return

    def _admit(self, got: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for partition, records in got.items():
            # A rebalance within the poll leaves records of a partition that is not placed yet:
            # they are read again from where it will be.
            stream = self._streams.at(partition)
            if stream is not None:
                self._streams.admit(stream, records)
                stream.end = self._raw.highwater(partition)

    async def _catch_up(self, idle: Sequence[Stream]) -> None:
        """Pass over markers and aborted records, which move the client's position only (K2)."""
        for stream in idle:
            if self._streams.at(stream.place) is stream:
                position = await self._raw.position(stream.place)
                stream.end = self._raw.highwater(stream.place)
                if stream.catch_up(position):
                    self._streams.dirty.set()

    # assignment

    async def _place(self) -> None:
        partitions = self._unplaced
        # The client coordinates nothing more until somebody has polled for the error it has met,
        # and a place that cannot be committed would be tried for ever.
        await self._raw.getmany(NOWHERE, timeout_ms=0, max_records=1)
        async with asyncio.timeout(PLACE_SECONDS):
            places = await place(self._raw, partitions, self._start)
        if self._unplaced is not partitions:
            return  # dealt out anew meanwhile
        for each in places:
            self._raw.seek(each.partition, each.offset)
        for notice in growth(places):
            self._notice(notice)
        self._begin(places)

    def _begin(self, places: Sequence[Place]) -> None:
        self._unplaced = frozenset()
        self._streams.open(places)
        self._watchdog.joined()
        names = self._streams.names
        self._notice(Notice(kind="assigned", text=f"{len(names)} partitions", streams=names))
        self.joined.set()

    # trouble

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """Go on with the earliest that exists, and tell what is gone (K24)."""
        for partition, offset in error.args[0].items():
            stream = self._streams.at(partition)
            if stream is None or stream.fetched != offset:
                continue
            first = (await self._raw.beginning_offsets([partition]))[partition]
            if self._streams.at(partition) is not stream:
                continue
            self._notice(
                Notice(
                    kind="gap",
                    text=f"{stream.name}: wanted {offset}, but the log begins at {first}",
                    streams=(stream.name,),
                    missing=max(0, first - offset),
                )
            )
            self._streams.reopen(stream, first)
            self._raw.seek(partition, first)

    async def _recover(self, error: Exception) -> None:
        """Set every position back to what we have (K17), and see whether a record is at fault."""
        held = set(self._raw.assignment())
        for stream in self._streams:
            if stream.place in held and not self._streams.sealed:
                self._raw.seek(stream.place, stream.fetched)
        if spoilt_record(error):
            self._isolation.begin(_now())
            return
        self._watchdog.error(repr(error), _now())
        logger.warning("polling Kafka failed", extra={"error": repr(error)})
        await asyncio.sleep(PAUSE_AFTER_ERROR)


def _now() -> float:
    return asyncio.get_running_loop().time()
