"""What the delivery core tells those who watch it: telemetry, the test harness, a decision log."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from choreo.broker import Notice
from choreo.delivery.job import Job, Outcome, Received
from choreo.errors import BrokerError, ClaimedElsewhere, RegistryError
from choreo.message import Message
from choreo.telemetry.text import named

logger = logging.getLogger(__name__)

ROUTINE = ("assigned", "revoked", "reconnected", "no_subscribers")
"""Notices that belong to a normal day."""


def awaited(error: BaseException) -> str:
    """Say what an event is held for."""
    if isinstance(error, RegistryError):
        return "registry does not tell its schema"
    if isinstance(error, ClaimedElsewhere):
        return "another process is at it"
    broker = isinstance(error, BrokerError | asyncio.CancelledError)
    return "broker did not take it" if broker else "store could not write it"


class Journal(Protocol):
    """Told of every decision, in the moment it takes effect; never raises, never blocks."""

    def received(self, received: Received, /) -> None:
        """Hear that a delivery came in; its *owed* says how many handlers it goes to."""
        ...

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Hear that an attempt failed; the next follows in *delay* seconds, or none."""
        ...

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Hear how one handler's share of an event ended."""
        ...

    def settled(self, received: Received, /) -> None:
        """Hear that all shares of a delivery ended, and it was settled or dropped."""
        ...

    def published(self, messages: Sequence[Message], /) -> None:
        """Hear that the broker accepted *messages*."""
        ...

    def notice(self, notice: Notice, /) -> None:
        """Hear what the adapter noticed."""
        ...


class Journals:
    """Several journals as one, and beside them the log, which hears of what goes wrong."""

    def __init__(self, journals: Sequence[Journal]) -> None:
        self._journals = tuple(journals)
        self.heard = bool(self._journals)
        """Whether anybody hears of what goes well."""

    def received(self, received: Received, /) -> None:
        """Tell that a delivery came in."""
        for journal in self._journals:
            journal.received(received)

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Tell that an attempt failed, with its traceback once it was the last."""
        for journal in self._journals:
            journal.failed(job, error, delay)
        if not logger.isEnabledFor(logging.WARNING):
            return
        names = {**job.names, **_traced(job), "error": named(error), "delay": delay}
        logger.warning("an attempt failed", extra=names, exc_info=error if delay is None else None)

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Tell how one handler's share of an event ended."""
        for journal in self._journals:
            journal.ended(job, outcome)

    def settled(self, received: Received, /) -> None:
        """Tell that all shares of a delivery ended."""
        for journal in self._journals:
            journal.settled(received)

    def published(self, messages: Sequence[Message], /) -> None:
        """Tell that the broker accepted *messages*."""
        for journal in self._journals:
            journal.published(messages)

    def notice(self, notice: Notice, /) -> None:
        """Tell what the adapter noticed."""
        level = logging.INFO if notice.kind in ROUTINE else logging.WARNING
        names = {"kind": notice.kind, "detail": notice.text, "streams": notice.streams}
        logger.log(level, "broker notice", extra=names)
        for journal in self._journals:
            journal.notice(notice)


def _traced(job: Job) -> dict[str, object]:
    """Tell the attempt's trace, whose span has ended; without a span, the trace of its cause."""
    if job.trace is not None:
        return {"trace_id": job.trace[3:35], "span_id": job.trace[36:52]}
    envelope = job.received.envelope
    if envelope is None or envelope.traceparent is None:
        return {}
    return {"trace_id": envelope.traceparent[3:35]}


_: type[Journal] = Journals
