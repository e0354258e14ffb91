"""An emission as the columns of a row: what a timer and a row of the outbox have in common."""

import json
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from choreo.message import Header, Message
from choreo.store.outbox import Emission
from choreo.store.shards import lane_digest, shard_of
from choreo_sql.texts import compact


class Entry(NamedTuple):
    """What is written of one emission, by column."""

    shard: int
    lane: bytes
    identity: str
    topic: str
    key: bytes | None
    headers: str
    body: bytes | None
    retain: bool
    stream: str | None


COLUMNS = Entry._fields[:-1]
"""Those of a row, which has its number in place of its stream."""


def packed(one: Emission) -> Entry:
    """Write an emission as columns."""
    message, lane = one.message, lane_digest(one.lane)
    return Entry(
        shard=shard_of(lane),
        lane=lane,
        identity=compact(one.identity),
        topic=message.topic,
        key=message.key,
        headers=_pack_headers(message),
        body=message.body,
        retain=message.retain,
        stream=None if one.stream is None else compact(one.stream),
    )


def unpack_headers(text: str) -> tuple[list[Header], str]:
    """Read the headers of a row; none, and why, where somebody else has written there."""
    try:
        return [
            (name + "", None if value is None else value.encode("latin-1"))
            for name, value in _read(text)
        ], ""
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return [], f"its headers cannot be read: {error}"


def _pack_headers(message: Message) -> str:
    """Write headers as JSON, each byte of a value as the character of that number."""
    try:
        written = to_json(message.headers)  # which takes bytes for UTF-8
        if written.isascii():  # and so were they
            return written.decode()
    except ValueError:  # they are not; or as ``_read``
        pass
    # Beyond ASCII everything is escaped, as not every database takes each character.
    return json.dumps(
        [
            (name, None if value is None else value.decode("latin-1"))
            for name, value in message.headers
        ]
    )


def _read(text: str) -> Any:  # noqa: ANN401 -- whatever somebody has written there
    try:
        return from_json(text)
    except ValueError:  # it takes no half of a surrogate pair
        return json.loads(text)
