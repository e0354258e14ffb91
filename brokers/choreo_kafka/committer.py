"""Telling the broker what is settled: one commit at a time, explicit, never going back.

Theory of operation.  What has ended and is not committed is handed over again after a crash, so a
commit follows the one before it as soon as that is answered, but for two limits that keep it cheap:
commits begin at least the interval apart, and so far apart that writing down what is finished,
which grows with the partitions and with what waits behind unfinished work, takes a small share of
our time.  A slow broker sets its own pace, as there is never more than one commit on its way.
What was refused is tried again soon, as a rebalance is mostly over soon, and then ever later, but
at once when it is over.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable

from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    OffsetMetadataTooLargeError,
)

from choreo.broker import Notice
from choreo.failpoints import reached
from choreo_kafka.client import RawConsumer
from choreo_kafka.streams import Due, Streams

logger = logging.getLogger(__name__)

PREPARING_SHARE = 0.05
"""Part of the time between two commits that preparing one may take."""
MAX_SPACING = 0.25
"""Seconds beyond which commits are not held apart, whatever preparing them takes."""
FIRST_RETRY = 0.02
"""Seconds after a commit that failed before the next; they double with each in a row."""
MAX_RETRY = 0.25
"""Seconds beyond which they do not."""
MAX_FAILURES = 5
"""Commits that fail in a row before the client object is held to be broken,"""
FAILING_SECONDS = 1.0
"""and the least time since the first of them was answered, in seconds."""
MAX_SECONDS = 30.0
"""Seconds a commit may be unanswered before the client object is held to be broken (K20)."""


class Committer:
    """Commits for one client object.

    A commit that is on its way is never cancelled and never overtaken: while it is unanswered there
    is no other (K22).  If it is not answered at all the client object is replaced, and with it the
    membership, so that the group refuses whatever arrives late.
    """

    def __init__(
        self,
        raw: RawConsumer,
        streams: Streams,
        notice: Callable[[Notice], None],
        interval: float,
    ) -> None:
        """Begin commits at least *interval* seconds apart."""
        self._raw = raw
        self._streams = streams
        self._notice = notice
        self._interval = interval
        self._on_way: asyncio.Task[bool] | None = None
        self._since = -math.inf
        """When the last commit began."""
        self._spacing = interval
        """Seconds from there to the next."""
        self._failures = 0
        self._failing_since = math.inf
        """When the first of the failures in a row was answered."""
        self._plain = False
        self._dealt = asyncio.Event()
        """The group has dealt out partitions since the last commit was refused."""

    @property
    def broken(self) -> bool:
        """Whether commits have failed too often, or one has gone unanswered for too long."""
        overdue = self._on_way is not None and _now() - self._since > MAX_SECONDS
        failing = _now() - self._failing_since >= FAILING_SECONDS
        return overdue or (failing and self._failures >= MAX_FAILURES)

    async def run(self) -> None:
        """Commit what is settled, over and over, as soon as there is something."""
        pause = FIRST_RETRY
        while True:
            await self._streams.dirty.wait()
            await asyncio.sleep(self._since + self._spacing - _now())
            self._streams.dirty.clear()
            if await self.commit():
                pause = FIRST_RETRY
                continue
            self._streams.dirty.set()
            pause = FIRST_RETRY if await self._dealt_within(pause) else min(2 * pause, MAX_RETRY)

    def assigned(self) -> None:
        """Hear that the group has dealt out partitions: it may take what it refused before."""
        self._dealt.set()

    async def _dealt_within(self, seconds: float) -> bool:
        self._dealt.clear()
        try:
            async with asyncio.timeout(seconds):
                return await self._dealt.wait()
        except TimeoutError:
            return False

    async def commit(self) -> bool:
        """Commit what is settled now; say whether the broker has all of it."""
        while self._on_way is not None:
            await asyncio.wait({self._on_way})
        self._since = _now()
        due = self._due()
        if not due:
            return True
        sending = self._on_way = asyncio.create_task(self._send(due), name="kafka commit")
        await asyncio.wait({sending})
        return not sending.cancelled() and sending.result()

    async def flush(self, seconds: float) -> bool:
        """Commit within *seconds*; say whether the broker has all that was settled."""
        try:
            async with asyncio.timeout(seconds):
                return await self.commit()
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Forget the commit on its way, its client object being gone."""
        if self._on_way is not None:
            self._on_way.cancel()
            await asyncio.wait({self._on_way})

    def _due(self) -> list[Due]:
        begun = time.thread_time()  # a clock would count what other processes do meanwhile
        due = self._streams.due(set(self._raw.assignment()), plain=self._plain)
        costly = (time.thread_time() - begun) / PREPARING_SHARE
        self._spacing = max(self._interval, min(costly, MAX_SPACING))
        return due

    async def _send(self, due: list[Due]) -> bool:
        reached("acknowledging")
        try:
            await self._raw.commit({stream.place: target for stream, target in due})
        except OffsetMetadataTooLargeError:
            self._plain = True  # this broker takes less than the usual 4,096 characters
            logger.warning("the broker refuses commit metadata: more is redelivered after a crash")
            return False
        except (CommitFailedError, IllegalStateError) as error:
            # Not ours any more, or about to be dealt out again: the rebalance that follows decides.
            self._failed(due, f"the group has moved on: {error}")
            return False
        except KafkaError as error:
            self._failures += 1
            self._failing_since = min(self._failing_since, _now())
            self._failed(due, repr(error))
            return False
        finally:
            self._on_way = None
        reached("acknowledged")
        self._failures, self._failing_since = 0, math.inf
        for stream, target in due:
            stream.committed = target
        return True

    def _failed(self, due: list[Due], reason: str) -> None:
        streams = tuple(stream.name for stream, _ in due)
        self._notice(
            Notice(kind="commit_failed", text=f"{len(due)} offsets: {reason}", streams=streams)
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
