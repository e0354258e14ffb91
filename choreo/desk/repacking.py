"""A letter that is too large with what a replay adds: the same one, packed as small as it goes."""

from choreo.dead_letter import original
from choreo.letter_id import PREFIX
from choreo.message import Message
from choreo.packing import BODY, EMPTY, HEADERS, STAND_IN, pack_body, pack_headers

PACKING = (BODY, EMPTY, HEADERS, f"{PREFIX}traceparent")
"""What is said anew; the original's trace context is among its packed headers."""


def repacked(letter: Message) -> Message:
    """Pack *letter* anew; raise DecodeError if it is spoilt."""
    message = original(letter)
    body, told = pack_body(message.body)
    told = [*told, *(header for header in letter.headers if header[0] == EMPTY)]
    if letter.body == STAND_IN and any(name == EMPTY for name, _ in told):
        body = STAND_IN
    own = [each for each in letter.headers if each[0].startswith(PREFIX) and each[0] not in PACKING]
    return Message(letter.topic, body, letter.key, [*own, *pack_headers(message.headers), *told])
