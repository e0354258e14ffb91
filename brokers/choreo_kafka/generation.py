"""One producer object from its start to its end; a broken one is replaced, never mended (P4)."""

import asyncio
from datetime import timedelta

from choreo_kafka.client import Batch, RawProducer
from choreo_kafka.dismantling import stop

GRACE = 2.0
"""Seconds that batches of other partitions get to be answered once the object is given up."""


class Generation:
    """A started producer and the batches it has on their way.

    Idempotence numbers batches per partition: after one refused batch the broker takes no other of
    that partition from this object. It is retired: it takes nothing more, what is on its way may
    finish within GRACE, and whoever lost a batch waits until it is gone, so that no late retry of
    the old object can overtake what the new one sends.
    """

    def __init__(self, raw: RawProducer) -> None:
        self.raw = raw
        self.ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.retiring = False
        self._on_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def send(self, batch: Batch, topic: str, partition: int, deadline: float) -> None:
        """Send *batch* and return when it is stored.

        Raises what the broker answered, or TimeoutError at *deadline* (the loop's clock) or when
        this object ended before there was an answer.
        """
        self._on_way += 1
        self._idle.clear()
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self.raw.send_batch(batch, topic, partition=partition)
                try:
                    await asyncio.wait({answer, self.ended}, return_when=asyncio.FIRST_COMPLETED)
                    if not answer.done():
                        raise TimeoutError("the producer was given up before it had an answer")
                    await answer
                finally:
                    answer.cancel()  # a shield: what is on its way stays on its way
        finally:
            self._on_way -= 1
            if not self._on_way:
                self._idle.set()

    async def end(self, budget: timedelta) -> None:
        """Let what is on its way finish, then stop; bounded, never raises."""
        try:
            async with asyncio.timeout(GRACE):
                await self._idle.wait()
        except TimeoutError:
            budget = timedelta(0)  # its stop would wait for the very batches that are stuck
        finally:
            await stop(self.raw, budget)
            if not self.ended.done():
                self.ended.set_result(None)
