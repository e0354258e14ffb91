"""Structured logs: every line says which event it is about, as one JSON object or one line of text.

``ContextFilter`` belongs on a logging *handler*, not on a logger: a logger's filters are not asked
about what its children say.  It must run where the record is made, so with a ``QueueHandler`` it
goes on that one.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from math import isfinite
from typing import TextIO, cast

from opentelemetry.trace import get_current_span

from choreo.context import running
from choreo.telemetry.text import (
    REDACTED,
    SECRET_NAME,
    clean,
    error_type,
    named,
    printable,
    stack,
    told,
)
from choreo.timestamps import rfc3339

IDS = (
    "event_id",
    "event_source",
    "event_type",
    "correlation_id",
    "causation_id",
    "service",
    "handler",
    "attempt",
    "trace_id",
    "span_id",
)
"""Attributes that every record has after the filter; None for what is not known."""

MAX_FIELDS = 64
"""Members of one mapping, or items of one sequence, that are written."""
MAX_DEPTH = 4
INT64 = 2**63

PAUSE = 10.0
"""Seconds in which a client library says one thing once."""
MAX_TEXTS = 256

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_TALKATIVE = ("aiokafka", "kafka", "paho", "asyncio", "urllib3")
"""Loggers that write payloads, keys or credentials below INFO (T12)."""
_REPETITIVE = ("aiokafka", "kafka", "paho", "urllib3")
"""Loggers that complain of an outage with every attempt to end it."""


class ContextFilter(logging.Filter):
    """Adds the ids of the attempt that the record was made in."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids; what ``extra=`` says of the same name stays."""
        fields = record.__dict__
        for name, value in zip(IDS, _ids(), strict=True):
            if fields.get(name) is None:
                fields[name] = value
        return True


class Repeats(logging.Filter):
    """Lets a client library say one thing once in ``PAUSE``, with how often it was said meanwhile.

    During an outage some say the same hundreds of times a second. What counts as the same is the
    text before its arguments, for those loggers alone that are named: nobody else's lines are lost.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = frozenset(names)
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop and count the record if the same was let through a moment ago."""
        if record.name.partition(".")[0] not in self._names:
            return True
        same = (record.name, str(record.msg))
        since, left_out = self._said.get(same, (-PAUSE, 0))
        if record.created - since < PAUSE:
            self._said[same] = (since, left_out + 1)
            return False
        if len(self._said) >= MAX_TEXTS:
            self._said.clear()
        self._said[same] = (record.created, 0)
        if left_out:
            record.__dict__["repeated"] = left_out
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, ids, ``extra=`` fields and the error.

    Non-ASCII and control characters are escaped, values are cut, secrets redacted.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as one line of ASCII."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(_message(record)),
        }
        line.update(
            (name, value)
            for name in IDS
            if (value := _plain(record.__dict__.get(name))) is not None
        )
        for name, value in islice(_extras(record), MAX_FIELDS):
            line.setdefault(name, value)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error"] = {"type": error_type(error), "text": told(error), "stack": stack(error)}
        # DEL is the one control character that JSON leaves alone.
        return json.dumps(line, allow_nan=False).replace("\x7f", "\\u007f")


class TextFormatter(logging.Formatter):
    """One line for a person, with the ids at its end; an error's stack follows it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record, its message on one line."""
        named = {name: record.__dict__.get(name) for name in ("service", "handler", "event_id")}
        named.update(islice(_extras(record), MAX_FIELDS))
        tail = " ".join(
            f"{name}={_short(value)}" for name, value in named.items() if value is not None
        )
        head = f"{_time(record)} {record.levelname:<8} {record.name}: {clean(_message(record))}"
        text = printable(f"{head}  [{tail}]" if tail else head)
        error = record.exc_info[1] if record.exc_info else None
        return text if error is None else f"{text}\n{printable(stack(error), lines=True)}"


def configure(level: int | str = logging.INFO, *, json: bool, stream: TextIO | None = None) -> None:
    """Send all of this process's logs to *stream* (stderr), with ids, in place of what was set up.

    For a program's entry point; a library leaves logging alone.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if json else TextFormatter())
    handler.addFilter(ContextFilter())
    handler.addFilter(Repeats(_REPETITIVE))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        talkative = logging.getLogger(name)
        talkative.setLevel(max(logging.INFO, talkative.level, logging.getLogger().level))


def _ids() -> Sequence[object]:
    span = get_current_span().get_span_context()
    trace: tuple[str | None, str | None] = (None, None)
    if span.is_valid:
        trace = (f"{span.trace_id:032x}", f"{span.span_id:016x}")
    context = running()
    if context is None:
        return (*(None,) * 8, *trace)
    envelope = context.envelope
    if not span.is_valid and envelope.traceparent is not None:
        # Without a provider the cause's trace is passed on: it is known, a span of ours is not.
        trace = (envelope.traceparent[3:35], None)
    return (
        envelope.id,
        envelope.source,
        envelope.type,
        envelope.conversation,
        envelope.causation_id,
        context.service,
        context.handler,
        context.attempt,
        *trace,
    )


def _time(record: logging.LogRecord) -> str:
    return rfc3339(datetime.fromtimestamp(record.created, UTC))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 -- wrong arguments must not cost the line its text
        return f"{record.msg} (its arguments raised {type(error).__name__})"


def _extras(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for name, value in record.__dict__.items():
        if name not in _STANDARD and name not in IDS:
            yield clean(name, 100), REDACTED if SECRET_NAME.search(name) else _plain(value)


def _plain(value: object, depth: int = 0) -> object:
    """Reduce *value* to what JSON has, bounded in width, depth and length."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, BaseException):
        return named(value)
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return _object(cast("Mapping[object, object]", value), depth)
    if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        items = islice(cast("Sequence[object]", value), MAX_FIELDS)
        return [_plain(item, depth + 1) for item in items]
    return clean(value if isinstance(value, str) else _text(value))


def _number(value: float) -> object:
    """Keep what every JSON reader takes: finite floats, and integers of 64 bits."""
    if isinstance(value, int):
        return value if abs(value) < INT64 else clean(hex(value), 100)
    return value if isfinite(value) else str(value)


def _object(members: Mapping[object, object], depth: int) -> dict[str, object]:
    return {
        clean(str(name), 100): REDACTED
        if SECRET_NAME.search(str(name))
        else _plain(member, depth + 1)
        for name, member in islice(members.items(), MAX_FIELDS)
    }


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 -- as for messages
        return f"({type(value).__name__}, its text raised {type(error).__name__})"


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
