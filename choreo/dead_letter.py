"""Dead letters: a message that was given up, byte for byte, and beside it why.

The original's body, key and headers stay as they came and in their order, but for ``traceparent``,
which names the span that buried it. What choreo adds stands behind them in headers of its own,
which a second burial replaces, so that a letter does not grow (D4). What a broker refuses in this
form can be packed (see ``packing``); ``original`` restores either.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from traceback import format_tb
from typing import NamedTuple

from pydantic import ValidationError

from choreo.broker import Capabilities, TopicFilter
from choreo.cloudevents.attributes import legible, parse_count
from choreo.cloudevents.trace import read_traceparent
from choreo.errors import DecodeError
from choreo.letter_id import PREFIX, letter_id, without_own
from choreo.message import Delivery, Header, Message
from choreo.packing import (
    Form,
    pack_body,
    pack_headers,
    stand_in,
    unpack_body,
    unpack_headers,
)
from choreo.reason import Reason
from choreo.replay import Replayed
from choreo.timestamps import parse_rfc3339, rfc3339

MAX_TOTAL = 8 * 1024
"""Bytes that all of our headers hold together, names included, save what is packed (D4)."""
MAX_ERROR = 2 * 1024
MAX_STACK = 4 * 1024
MAX_ERROR_PACKED = 128
"""A letter that was refused may have been too large."""
MAX_ORIGIN = 4 * 1024
"""Bytes of the original topic's name; a longer one cannot be restored."""
MAX_NAME = 256
SHORT_ERROR = 256
"""Characters that fit in behind all other headers, however large these are and they become."""

TRACEPARENT = "traceparent"
ID, OFFSET, ATTEMPTS = f"{PREFIX}id", f"{PREFIX}offset", f"{PREFIX}attempts"
FIRST_FAILURE, TIME, MESSAGE = (
    f"{PREFIX}first-failure",
    f"{PREFIX}time",
    f"{PREFIX}error-message",
)
"""Names of what differs from letter to letter."""
_NAME_OF: Callable[[Header], str] = itemgetter(0)


class Failure(NamedTuple):
    """What a service knows of a message that it gives up."""

    reason: Reason
    service: str
    at: datetime
    """When it is given up; aware."""
    handler: str | None = None
    attempts: int = 0
    first_failed: datetime | None = None
    error: BaseException | None = None
    stack: bool = False
    """Tell where the error was raised, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What a letter says about the message in it."""

    id: str
    """The same for every burial of one message by one handler (D2)."""
    reason: Reason
    service: str
    handler: str | None
    topic: str
    stream: str
    position: int
    attempts: int
    error_type: str | None
    error: str | None
    first_failed: datetime
    buried: datetime
    replays: int = 0
    """How often it has been replayed, and buried again."""
    stack: str | None = None
    """Innermost frames of the error, outermost first and parted by ``|``, where they were told."""


def dead_letter_topic(service: str) -> str:
    """Name the one topic of a service's dead letters on brokers without topic levels."""
    return f"choreo.dlq.{service}"


def dead_letter_filter(service: str, capabilities: Capabilities) -> TopicFilter:
    """Tell where a service's dead letters are found on a broker, to browse or subscribe to them."""
    if capabilities.topic_levels:
        return TopicFilter(f"choreo/dlq/{service}/+", retained=capabilities.retained)
    return TopicFilter(dead_letter_topic(service))


def is_dead_letter_topic(topic: str) -> bool:
    """Say whether *topic* holds some service's dead letters."""
    return topic.startswith(("choreo.dlq.", "choreo/dlq/"))


def bury(
    delivery: Delivery,
    failure: Failure,
    capabilities: Capabilities,
    *,
    traceparent: str | None = None,
    form: Form = Form.PLAIN,
) -> Message:
    """Build the dead letter of *delivery*, with *traceparent* as the span that sends it.

    On brokers with topic levels every letter has a topic of its own and is kept as its last value;
    deleting it is publishing an empty body there, so that an empty original gets a stand-in.
    """
    identity = letter_id(delivery, failure.service, failure.handler, capabilities.binding)
    topic = dead_letter_topic(failure.service)
    if capabilities.topic_levels:
        topic = f"choreo/dlq/{failure.service}/{identity}"
    came, content = _came(delivery)
    told: Sequence[Header] = ()
    if form is Form.WHOLE:
        content, told = pack_body(content)
    body, empty = stand_in(content, capabilities)
    if form is Form.PLAIN:
        headers, replaced = _originals(came, traceparent)
        headers += _own(delivery, failure, identity, replaced)
    else:
        headers = [] if traceparent is None else [(TRACEPARENT, traceparent.encode())]
        headers += _own(delivery, failure, identity, (), longest=MAX_ERROR_PACKED)
        headers += pack_headers(came)
    headers += (*told, *empty)
    return Message(topic, body, delivery.key, headers, retain=capabilities.retained)


def read_dead_letter(message: Message) -> DeadLetter | None:
    """Read what a letter says; None for a message that is no dead letter."""
    found = {
        name.removeprefix(PREFIX): value.decode("utf-8", "replace")
        for name, value in message.headers
        if name.startswith(PREFIX) and value is not None
    }
    try:
        return DeadLetter(
            id=found["id"],
            reason=Reason(found["reason"]),
            service=found["group"],
            handler=found.get("handler"),
            topic=found["destination"],
            stream=found["partition"],
            position=int(found["offset"]),
            attempts=int(found["attempts"]),
            error_type=found.get("error-type"),
            error=found.get("error-message"),
            first_failed=parse_rfc3339(found["first-failure"]),
            buried=parse_rfc3339(found["time"]),
            replays=parse_count(found.get("replays", "0")) or 0,
            stack=found.get("error-stack"),
        )
    except (KeyError, ValueError):
        return None


def original(message: Message) -> Message:
    """Restore the message in a letter: topic, key, headers and body as they came.

    Raises DecodeError for a message that is no dead letter, or one whose packed parts are spoilt.
    """
    letter = read_dead_letter(message)
    if letter is None:
        raise DecodeError(f"a message on {message.topic!r} is no dead letter")
    body, packed = unpack_body(message), unpack_headers(message)
    if packed is not None:
        return Message(letter.topic, body, message.key, packed)
    before = [value for name, value in message.headers if name == f"{PREFIX}{TRACEPARENT}"]
    headers: list[Header] = []
    for name, value in without_own(message.headers):
        if name == TRACEPARENT and before:
            # An empty value remembers that there was none.
            if before[0]:
                headers.append((name, before[0]))
        else:
            headers.append((name, value))
    return Message(letter.topic, body, message.key, headers)


def error_text(error: BaseException) -> str:
    """Tell what an error says, without the payload's values that pydantic's errors quote (D10)."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return f"{error.title}: {', '.join(item['type'] for item in found[:10])}"
    try:
        return str(error)
    except Exception as wrong:  # noqa: BLE001 -- what an exception of others says is its own code
        return f"(no text: {type(wrong).__name__} in str)"


def _came(delivery: Delivery) -> tuple[Sequence[Header], bytes | None]:
    """Tell the headers and the body to be kept; of a letter buried again, those it had packed."""
    if PREFIX not in "\0".join(map(_NAME_OF, delivery.headers)):
        return delivery.headers, delivery.body
    if read_dead_letter(delivery) is not None:
        try:
            packed, body = unpack_headers(delivery), unpack_body(delivery)
        except DecodeError:
            pass  # somebody else's, and no letter after all
        else:
            return [*without_own(delivery.headers)] if packed is None else packed, body
    return [*without_own(delivery.headers)], delivery.body


def _own(
    delivery: Delivery,
    failure: Failure,
    identity: str,
    replaced: Iterable[Header],
    *,
    longest: int = MAX_ERROR,
) -> list[Header]:
    """Make our own headers, within their caps: legible UTF-8 on every transport."""
    error = failure.error
    headers = [*_place(delivery, failure, identity), *replaced]
    if error is not None:
        kind = type(error)
        headers.append(_told("error-type", f"{kind.__module__}.{kind.__qualname__}", MAX_NAME))
        name, text, room = MESSAGE, error_text(error), longest
        if len(text) > SHORT_ERROR:
            room = min(longest, MAX_TOTAL - _size(headers) - len(name))
        headers.append((name, _legible(text, max(room, 0))))
    if error is not None and failure.stack:
        headers += _stack(error, headers)
    return headers


def _place(delivery: Delivery, failure: Failure, identity: str) -> list[Header]:
    """Tell what went wrong where; of a replay, where it first went wrong."""
    again = delivery if isinstance(delivery, Replayed) else None
    stream, position = again.origin if again else (delivery.stream, delivery.position)
    first_failed = again.first_failed if again else failure.first_failed or failure.at
    common, handled = _common(
        failure.reason, failure.service, delivery.topic, stream, failure.handler
    )
    headers: list[Header] = [
        (ID, _legible(identity, MAX_NAME)),
        *common,
        (OFFSET, b"%d" % position),
        (ATTEMPTS, b"%d" % failure.attempts),
        (FIRST_FAILURE, rfc3339(first_failed).encode()),
        (TIME, rfc3339(failure.at).encode()),
        *handled,
    ]
    if again is not None:
        headers.append((f"{PREFIX}replays", b"%d" % again.generation))
    return headers


@lru_cache(maxsize=256)
def _common(
    reason: Reason, service: str, topic: str, stream: str, handler: str | None
) -> tuple[Sequence[Header], Sequence[Header]]:
    """Make the headers that most letters of a handler have in common."""
    common = (
        _told("reason", reason, MAX_NAME),
        _told("group", service, MAX_NAME),
        _told("destination", topic, MAX_ORIGIN),
        _told("partition", stream, MAX_NAME),
    )
    return common, () if handler is None else (_told("handler", handler, MAX_NAME),)


@lru_cache(maxsize=256)
def _told(name: str, text: str, limit: int) -> tuple[str, bytes]:
    """Make a header of what most letters of a service have in common."""
    return f"{PREFIX}{name}", _legible(text, limit)


def _size(headers: Iterable[Header]) -> int:
    names, values = zip(*headers, strict=True)
    return len("".join(names)) + len(b"".join(filter(None, values)))


def _stack(error: BaseException, before: Iterable[Header]) -> list[Header]:
    """Tell the innermost frames, as far as there is room; no message, which may quote values."""
    name = f"{PREFIX}error-stack"
    room = min(MAX_STACK, MAX_TOTAL - _size(before) - len(name))
    frames = "".join(format_tb(error.__traceback__)).replace("\n", " | ")
    return [(name, _legible(frames[-room:], room))] if room > 0 and frames else []


def _originals(
    headers: Sequence[Header], traceparent: str | None
) -> tuple[list[Header], list[Header]]:
    """Tell the headers as they came, and the one that remembers a replaced ``traceparent``."""
    kept = list(headers)
    if traceparent is None:
        return kept, []
    places = [place for place, (name, _) in enumerate(kept) if name == TRACEPARENT]
    if len(places) > 1:
        return kept, []
    before = kept[places[0]][1] if places else b""
    if places and (read_traceparent(before) is None or len(before or b"") > MAX_NAME):
        return kept, []
    if places:
        kept[places[0]] = (TRACEPARENT, traceparent.encode())
    else:
        kept.append((TRACEPARENT, traceparent.encode()))
    return kept, [(f"{PREFIX}{TRACEPARENT}", before)]


def _legible(text: str, limit: int) -> bytes:
    """Encode at most *limit* bytes of *text*, made legible, in whole characters."""
    if text.isascii() and text.isprintable():
        return text.encode()[:limit]
    return legible(text).encode("utf-8", "replace")[:limit].decode("utf-8", "ignore").encode()
