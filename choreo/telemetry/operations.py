"""Operations under way: a span, a duration, and what is to be noted when they end."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import Token
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, Literal, ParamSpec, TypeVar

from opentelemetry.context import Context, detach
from opentelemetry.metrics import Histogram
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from choreo.clock import Clock
from choreo.delivery.job import Job
from choreo.delivery.tracing import Operation
from choreo.errors import HandlerTimeout, PublishError
from choreo.telemetry import conventions as names
from choreo.telemetry.instruments import Instruments
from choreo.telemetry.labels import Attributes, Labels
from choreo.telemetry.propagation import traceparent
from choreo.telemetry.text import error_type, told

logger = logging.getLogger(__name__)

MAX_DESCRIPTION = 200
"""Characters of an error's text that a span keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What of tracing is the user's to choose."""

    parent: Literal["parent", "link"] = "parent"
    """Whether a process span goes on the trace of its event, or begins one linked to it."""
    create: bool = True
    """Give each event of a batch a span of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What all operations of one service are followed with."""

    labels: Labels
    spans: Tracer | None
    instruments: Instruments | None
    options: Options
    clock: Clock


S = TypeVar("S")
P = ParamSpec("P")


class Nothing:
    """What is under way where nothing is to be told, or telemetry itself failed to begin."""

    traceparent: str | None = None

    def end(self, error: BaseException | None, /) -> None:
        """Do nothing."""


class Unrecorded:
    """An attempt that the sampler did not want: ambient, so that what it calls knows."""

    __slots__ = ("_job", "_span", "_token")

    def __init__(self, job: Job, span: Span, token: Token[Context]) -> None:
        self._job = job
        self._span = span
        self._token = token

    @property
    def traceparent(self) -> str | None:
        """Trace context that says so, too."""
        return traceparent(self._span.get_span_context())

    def end(self, error: BaseException | None, /) -> None:
        """Be ambient no more."""
        detach(self._token)
        if error is not None:
            self._job.trace = self.traceparent


def harmless(
    begin: Callable[Concatenate[S, P], Operation],
) -> Callable[Concatenate[S, P], Operation]:
    """Keep a failing exporter, processor or sampler from failing the event it watches."""

    @wraps(begin)
    def begun(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Operation:
        try:
            return begin(self, *args, **kwargs)
        except Exception:
            logger.exception("telemetry failed, going on without it")
            return Nothing()

    return begun


@dataclass(slots=True, eq=False, kw_only=True)
class Timed:
    """One operation: ended once, it closes its span and records how long it took."""

    clock: Clock
    began: float
    """Monotonic seconds."""
    attributes: Attributes
    """What the duration is recorded with."""
    histogram: Histogram | None
    span: Span | None
    token: Token[Context] | None = None
    """What to undo where the operation was made the ambient one."""

    @property
    def traceparent(self) -> str | None:
        """Trace context of its span, for what it writes."""
        return None if self.span is None else traceparent(self.span.get_span_context())

    def end(self, error: BaseException | None, /) -> None:
        """Close the span, with the error's type where there is one, and record the duration."""
        if self.token is not None:
            detach(self.token)
        try:
            self._end(error)
        except Exception:
            logger.exception("telemetry failed, going on without it")

    def _end(self, error: BaseException | None) -> None:
        elapsed = self.clock.monotonic() - self.began
        kind = None if error is None else self._kind(error, elapsed)
        span = self.span
        if span is not None:
            if error is not None and kind is not None and span.is_recording():
                span.set_attribute(names.ERROR_TYPE, kind)
                span.set_status(Status(StatusCode.ERROR, told(error)[:MAX_DESCRIPTION]))
            span.end()
        if self.histogram is not None:
            attributes = self.attributes
            if kind is not None:
                attributes = {**attributes, names.ERROR_TYPE: kind}
            self.histogram.record(elapsed, attributes)

    def _kind(self, error: BaseException, elapsed: float) -> str:  # noqa: ARG002 -- for others
        return error_type(error)


@dataclass(slots=True, eq=False, kw_only=True)
class Attempt(Timed):
    """One attempt of a handler."""

    job: Job

    def _end(self, error: BaseException | None) -> None:
        if error is not None and self.span is not None:
            self.job.trace = traceparent(self.span.get_span_context())
        Timed._end(self, error)  # noqa: SLF001 -- its own parent; super() needs a cell that slots lack

    def _kind(self, error: BaseException, elapsed: float) -> str:
        """Tell an overrun from a stop: both cancel the handler."""
        handler = self.job.handler
        if isinstance(error, asyncio.CancelledError) and handler is not None:
            overrun = elapsed >= handler.deadline.total_seconds()
            return error_type(HandlerTimeout if overrun else error)
        return error_type(error)


@dataclass(slots=True, eq=False, kw_only=True)
class Sending(Timed):
    """One publish."""

    places: Sequence[Attributes]
    """Where each message goes to."""
    count: Callable[[Attributes, str | None], None] | None
    """Counts a message sent there, with the error's type if it was not taken."""

    def _end(self, error: BaseException | None) -> None:
        if self.count is not None:
            failed = set(range(len(self.places))) if error is not None else set[int]()
            if isinstance(error, PublishError) and (error.refused or error.unknown):
                failed = error.refused.keys() | error.unknown.keys()
            kind = None if error is None else error_type(error)
            for index, place in enumerate(self.places):
                self.count(place, kind if index in failed else None)
        Timed._end(self, error)  # noqa: SLF001 -- as above
