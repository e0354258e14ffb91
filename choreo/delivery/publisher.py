"""Publishing for many at once: whoever waits while a batch is on its way shares the next one."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, TypeVar

from choreo.broker import Broker
from choreo.delivery.tracing import Tracer, followed
from choreo.errors import BrokerError, PublishError
from choreo.message import Message

MAX_BATCH = 1_000
"""Messages handed to the broker in one call, more only if one caller brings more."""
STOPPED = "the publisher was stopped before it had the answer"

S = TypeVar("S")

Told = Callable[[S, BrokerError | None], None]
"""Hears how it went, in the publisher's own task: None once the broker has accepted everything.

It is told of whom: there is no need to bind it to each.
"""

Write = Callable[[S], Sequence[Message]]
"""Makes the messages of a subject, in the publisher's own task."""

Request = tuple[Sequence[Message], Told[Any], Any]
Draft = tuple[Write[Any], Told[Any], Any]


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
        self._drafts: deque[Draft] = deque()
        self._task: asyncio.Task[None] | None = None

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once the broker has accepted all of *messages*.

        Raises PublishError, with indices into *messages*, for those it has not.
        """
        receipt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.hand_in(messages, _resolve, receipt)
        if self._tracer is None:
            await receipt
        else:
            await followed(self._tracer.send(messages), receipt)

    @property
    def traced(self) -> bool:
        """Say whether what is published is followed by the task that publishes it."""
        return self._tracer is not None

    def hand_in(self, messages: Sequence[Message], told: Told[S], subject: S, /) -> None:
        """Publish *messages* soon, untraced, and tell of *subject* then: nobody need wait."""
        self._pending.append((messages, told, subject))
        if self._task is None:
            self._begin()

    def hand_in_unwritten(self, write: Write[S], told: Told[S], subject: S, /) -> None:
        """Publish soon what *write* makes of *subject*, and tell of it then, as ``hand_in`` does.

        It is written with what else is handed in until the loop turns: code that is seldom needed
        has to be fetched from memory, and this fetches it once for many.
        """
        self._drafts.append((write, told, subject))
        if self._task is None:
            self._begin()

    def _begin(self) -> None:
        # It serves many callers, so it begins with the context of none (A10).
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="choreo publisher", context=Context()
        )

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
            while self._pending or self._drafts:
                if self._drafts:
                    self._write()
                batch, messages = self._batch()
                if not batch:  # none of it could be written
                    continue
                outcomes = await self._send(batch, messages)
                sent, batch = batch, []
                for (_, told, subject), outcome in zip(sent, outcomes, strict=True):
                    told(subject, outcome)
        finally:
            self._task = None
            left = (*batch, *self._pending)
            unwritten, self._drafts = self._drafts, deque()
            self._pending.clear()
            for part, told, subject in left:
                told(subject, _unknown(part, STOPPED))
            for _, told, subject in unwritten:
                told(subject, _unknown((), STOPPED))

    def _write(self) -> None:
        """Write what was handed in unwritten."""
        drafts, self._drafts = self._drafts, deque()
        for write, told, subject in drafts:
            try:
                part = write(subject)
            except Exception as error:  # noqa: BLE001 -- the task boundary: whoever waits must be told
                told(
                    subject, _unknown((), f"it cannot be written: {type(error).__name__}: {error}")
                )
            else:
                self._pending.append((part, told, subject))

    def _batch(self) -> tuple[list[Request], list[Message]]:
        """Take what goes out next, and all the messages of it."""
        pending, messages, count = self._pending, list[Message](), 0
        for part, _, _ in pending:
            if count and len(messages) + len(part) > MAX_BATCH:
                break
            messages += part
            count += 1
        return [pending.popleft() for _ in range(count)], messages

    async def _send(
        self, batch: list[Request], messages: Sequence[Message]
    ) -> Sequence[BrokerError | None]:
        """Publish the batch; tell how it went for each of its callers."""
        try:
            await self._broker.publish(messages)
        except PublishError as error:
            return self._shared_out(batch, error)
        except Exception as error:  # noqa: BLE001 -- the task boundary: whoever waits must be told
            why = f"{type(error).__name__}: {error}"
            return [_unknown(request[0], why) for request in batch]
        if self._published:
            for request in batch:
                self._published(request[0])
        return [None] * len(batch)

    def _shared_out(
        self, batch: list[Request], error: PublishError
    ) -> Sequence[BrokerError | None]:
        """Tell of each caller's own messages, in its own numbers."""
        start, outcomes = 0, list[BrokerError | None]()
        for part, _, _ in batch:
            end = start + len(part)
            refused = {i - start: why for i, why in error.refused.items() if start <= i < end}
            unknown = {i - start: why for i, why in error.unknown.items() if start <= i < end}
            if self._published:
                self._published(
                    [part[i] for i in range(len(part)) if i not in refused and i not in unknown]
                )
            failed = refused or unknown
            outcomes.append(
                PublishError(str(error), refused=refused, unknown=unknown) if failed else None
            )
            start = end
        return outcomes


def _unknown(messages: Sequence[Message], why: str) -> BrokerError:
    return PublishError(why, unknown=dict.fromkeys(range(len(messages)), why))


def _resolve(receipt: "asyncio.Future[None]", error: BrokerError | None) -> None:
    if receipt.done():
        return
    if error is None:
        receipt.set_result(None)
    else:
        receipt.set_exception(error)
