"""Where the delivery core lets itself be traced; without a tracer none of it is there."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from choreo.delivery.job import Job
from choreo.envelope import Envelope
from choreo.event import EventType
from choreo.message import Message


class Operation(Protocol):
    """Something that began and will end."""

    @property
    def traceparent(self) -> str | None:
        """Trace context for what it writes, None if it has none."""
        ...

    def end(self, error: BaseException | None, /) -> None:
        """Note that it ended, well or with *error*; called once, by the task that began it."""
        ...


R = TypeVar("R")


async def followed(operation: Operation, work: Awaitable[R]) -> R:
    """Await *work*, and end *operation* as it ended."""
    try:
        result = await work
    except BaseException as error:
        operation.end(error)
        raise
    operation.end(None)
    return result


@dataclass(slots=True, eq=False)
class Draft:
    """An event that is about to be written."""

    envelope: Envelope
    declared: EventType
    topic: str


class Outbound(list[Message]):
    """What is published together, with the sending that began when it was written.

    The trace context in its headers is that sending's, so only the first try belongs to it.
    """

    __slots__ = ("sending",)

    def __init__(self, messages: Sequence[Message], sending: Operation | None) -> None:
        super().__init__(messages)
        self.sending = sending


class Tracer(Protocol):
    """Follows the operations of one service; never raises, never blocks."""

    def process(self, job: Job, /) -> Operation:
        """One attempt begins in the running task: what it calls belongs to it until it ends."""
        ...

    def write(self, drafts: Sequence[Draft], /) -> Operation:
        """Begin to send *drafts*: give each the trace context that its readers go on from."""
        ...

    def send(self, messages: Sequence[Message], /) -> Operation:
        """Go on with the sending that came with *messages*, or begin another."""
        ...

    def bury(self, job: Job, /) -> Operation:
        """Begin to hand *job*, which was given up, to the dead letters."""
        ...
