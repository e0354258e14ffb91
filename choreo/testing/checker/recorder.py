"""Write down what a process of a service does, as its journal and its outermost middleware.

recorder = Recorder(Scribe(file, proc="payment-1", incarnation=2), "payment")
service = Service("payment", middleware=[recorder.around])
async with started(service, journals=[recorder]): ...
"""

import asyncio
import time
from collections.abc import Sequence
from hashlib import blake2b

from choreo.broker import Notice
from choreo.context import Context
from choreo.dead_letter import is_dead_letter_topic
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.message import Message
from choreo.middleware import Call
from choreo.testing.checker.entries import Kind, Scribe
from choreo.testing.simulation.history import described

SKIPPED = frozenset((Outcome.FILTERED, Outcome.EXPIRED, Outcome.LATE))
MOVES: dict[str, Kind] = {"assigned": "assign", "revoked": "revoke", "session_lost": "revoke"}


def digest(body: bytes | None) -> str:
    """Shorten a payload to what tells it from every other."""
    return blake2b(body or b"", digest_size=8).hexdigest()


class Recorder:
    """The journal of one life of one process; what it wrote survives a kill."""

    def __init__(self, scribe: Scribe, service: str) -> None:
        self._scribe = scribe
        self._service = service

    async def around(self, context: Context, call: Call) -> None:
        """Tell that a handler begins and how it ends: the outermost middleware."""
        about: dict[str, str | int] = {
            "handler": context.handler,
            "id": context.id,
            "key": context.envelope.key or "",
            "tp": context.delivery.stream,
            "offset": context.delivery.position,
            "attempt": context.attempt,
        }
        self._tell("handle_start", **about)
        try:
            await call(context)
        except asyncio.CancelledError:
            self._tell("handle_end", result="cancel", **about)
            raise
        self._tell("handle_end", result="ok", **about)

    def received(self, received: Received, /) -> None:
        """Tell that a delivery came in."""
        delivery = received.delivery
        self._about("deliver", received, payload=digest(delivery.body))

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Tell that an attempt failed, and how long the next one waits."""
        handler = job.handler.plan.id if job.handler else ""
        self._about(
            "handle_end",
            job.received,
            handler=handler,
            attempt=job.attempt,
            result="err",
            value=delay or 0.0,
            text=type(error).__name__,
        )

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Tell how a handler's share ended, but for what the database tells."""
        handler = job.handler.plan.id if job.handler else ""
        if outcome in SKIPPED:
            self._about("skip", job.received, handler=handler, text=outcome.value)
        elif outcome is Outcome.DUPLICATE:
            self._about("dedupe_hit", job.received, handler=handler)
        elif outcome is Outcome.DEAD_LETTERED:
            self._about("dlq_ok", job.received, handler=handler)
        elif outcome is Outcome.PARKED:
            self._about("buffer_in", job.received, handler=handler, result="stored")

    def settled(self, received: Received, /) -> None:
        """Tell that a delivery was settled."""
        if not received.dropped:
            self._about("ack", received)

    def published(self, messages: Sequence[Message], /) -> None:
        """Tell that the broker took what this process emitted."""
        for message in messages:
            if not is_dead_letter_topic(message.topic):
                told = described(message)
                self._tell(
                    "emit",
                    topic=message.topic,
                    id=told.get("id", ""),
                    key=told.get("key", ""),
                    cause=told.get("cause", ""),
                )

    def notice(self, notice: Notice, /) -> None:
        """Tell of streams that come and go."""
        kind = MOVES.get(notice.kind)
        if kind is not None:
            for stream in notice.streams or ("",):
                self._tell(kind, tp=stream, text=notice.kind)

    def _about(self, kind: Kind, received: Received, **said: str | float) -> None:
        envelope, delivery = received.envelope, received.delivery
        self._tell(
            kind,
            id=envelope.id if envelope else "",
            key=(envelope.key or "") if envelope else "",
            tp=delivery.stream,
            offset=delivery.position,
            **said,
        )

    def _tell(self, kind: Kind, **said: str | float) -> None:
        self._scribe.write(kind, time.monotonic(), service=self._service, **said)


_: type[Journal] = Recorder
