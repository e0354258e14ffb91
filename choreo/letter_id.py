"""Which dead letter is which: the same for every burial of one message by one handler (D2)."""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from choreo.broker import Binding
from choreo.message import Delivery, Header
from choreo.replay import Replayed

PREFIX = "choreo-dlq-"
"""Begins the names of all headers of ours in a letter."""
KEPT = 256
"""Names that are kept framed, of those that are no longer than usual together."""
USUAL = 1024


def letter_id(delivery: Delivery, service: str, handler: str | None, binding: Binding) -> str:
    """Derive the id of *handler*'s letter, so that a crash before settling makes no second (D2).

    Where positions last (Kafka, memory) topic, stream and position name the message. On MQTT they
    end with the connection, so its topic, headers and body do: what is equal in all is one letter.
    What is buried again after a replay stays the letter that it was.
    """
    if isinstance(delivery, Replayed) and delivery.handler == handler:
        return delivery.letter
    if isinstance(delivery, Replayed):
        return again_by(delivery.letter, handler or "")
    known = (service, handler or "", delivery.topic)
    if binding is not Binding.MQTT:
        position = b"%d" % delivery.position
        return _hex(_framed(*known, delivery.stream) + b"%d:%b" % (len(position), position))
    parts: list[bytes] = []
    for name, value in without_own(delivery.headers):
        parts += (name.encode(), value or b"")
    return _hex(_framed(*known) + _frame((*parts, delivery.body or b"")))


def again_by(letter: str, other: str) -> str:
    """Derive the id of a letter that *letter* has become: *other*'s, which is not the same one."""
    return _hex(_frame((letter.encode(), other.encode())))


def without_own(headers: Iterable[Header]) -> Iterable[Header]:
    """Tell the headers that are the message's, and not ours in a letter."""
    return (header for header in headers if not header[0].startswith(PREFIX))


def _framed(*texts: str) -> bytes:
    """Frame what most letters of a service have in common; keep none longer than usual."""
    return _usual(*texts) if sum(map(len, texts)) <= USUAL else _whole(*texts)


def _whole(*texts: str) -> bytes:
    return _frame([text.encode() for text in texts])


_usual = lru_cache(KEPT)(_whole)


def _frame(parts: Iterable[bytes]) -> bytes:
    """Write each part after its length, so that no others read the same."""
    return b"".join([b"%d:%b" % (len(part), part) for part in parts])


def _hex(framed: bytes) -> str:
    return sha256(framed).hexdigest()[:32]
