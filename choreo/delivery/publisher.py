"""Publishing for many at once: whoever waits while a batch is on its way shares the next one."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context

from choreo.broker import Broker
from choreo.delivery.tracing import Tracer, followed
from choreo.errors import BrokerError, PublishError
from choreo.message import Message

MAX_BATCH = 1_000
"""Messages handed to the broker in one call, more only if one caller brings more."""

Request = tuple[Sequence[Message], "asyncio.Future[None]"]


class Publisher:
    """Group commit in front of a broker: one call is under way at a time, so order is kept."""

    def __init__(
        self,
        broker: Broker,
        published: Callable[[Sequence[Message]], None] | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._broker = broker
        self._published = published
        self._tracer = tracer
        self._pending: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once the broker has accepted all of *messages*.

        Raises PublishError, with indices into *messages*, for those it has not.
        """
        receipt = self._hand_in(messages)
        if self._tracer is None:
            await receipt
        else:
            await followed(self._tracer.send(messages), receipt)

    async def pass_on(self, messages: Sequence[Message], /) -> None:
        """Publish *messages* now, beside whatever is queued, as ``Broker.publish`` does."""
        sending = self._broker.publish(messages)
        try:
            await (
                sending if self._tracer is None else followed(self._tracer.send(messages), sending)
            )
        except PublishError as error:
            if self._published:
                missing = error.refused.keys() | error.unknown.keys()
                self._published([m for i, m in enumerate(messages) if i not in missing])
            raise
        if self._published:
            self._published(messages)

    async def close(self) -> None:
        """Wait until everything handed in has its result."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def abort(self) -> None:
        """Give up what is on its way: nothing is known of it."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        batch: list[Request] = []
        try:
            while self._pending:
                batch = self._batch()
                await self._send(batch)
        finally:
            self._task = None
            for part, receipt in (*batch, *self._pending):
                _fail(receipt, _unknown(part, "the publisher was stopped before it had the answer"))
            self._pending.clear()

    def _hand_in(self, messages: Sequence[Message]) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        receipt: asyncio.Future[None] = loop.create_future()
        self._pending.append((messages, receipt))
        if self._task is None:
            # It serves many callers, so it begins with the context of none (A10).
            self._task = loop.create_task(self._run(), name="choreo publisher", context=Context())
        return receipt

    def _batch(self) -> list[Request]:
        batch = [self._pending.popleft()]
        size = len(batch[0][0])
        while self._pending and size + len(self._pending[0][0]) <= MAX_BATCH:
            batch.append(self._pending.popleft())
            size += len(batch[-1][0])
        return batch

    async def _send(self, batch: list[Request]) -> None:
        messages = [message for part, _ in batch for message in part]
        try:
            await self._broker.publish(messages)
        except PublishError as error:
            self._share_out(batch, error)
        except Exception as error:  # noqa: BLE001 -- the task boundary: whoever waits must be told
            for part, receipt in batch:
                _fail(receipt, _unknown(part, f"{type(error).__name__}: {error}"))
        else:
            for part, receipt in batch:
                if self._published:
                    self._published(part)
                if not receipt.done():
                    receipt.set_result(None)

    def _share_out(self, batch: list[Request], error: PublishError) -> None:
        """Tell each caller of its own messages, in its own numbers."""
        start = 0
        for part, receipt in batch:
            end = start + len(part)
            refused = {i - start: why for i, why in error.refused.items() if start <= i < end}
            unknown = {i - start: why for i, why in error.unknown.items() if start <= i < end}
            if self._published:
                self._published(
                    [part[i] for i in range(len(part)) if i not in refused and i not in unknown]
                )
            if refused or unknown:
                _fail(receipt, PublishError(str(error), refused=refused, unknown=unknown))
            elif not receipt.done():
                receipt.set_result(None)
            start = end


def _unknown(messages: Sequence[Message], why: str) -> BrokerError:
    return PublishError(why, unknown=dict.fromkeys(range(len(messages)), why))


def _fail(receipt: "asyncio.Future[None]", error: Exception) -> None:
    if not receipt.done():
        receipt.set_exception(error)
