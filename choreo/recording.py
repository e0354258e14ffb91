"""Messages in a file, whole and in their order, to be looked at and published again.

One JSON object a line; bytes are base64 where they are no text. A line that was cut off is an
error, as half a recording is none.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from pydantic_core import from_json

from choreo.errors import ConfigurationError
from choreo.message import Delivery, Header, Message

Written = Mapping[str, str] | str | None
"""A text as it is, bytes as ``{"base64": …}``, nothing as null."""


def line(delivery: Delivery) -> str:
    """Write one message."""
    return json.dumps(
        {
            "topic": delivery.topic,
            "stream": delivery.stream,
            "position": delivery.position,
            "key": _written(delivery.key),
            "headers": [[name, _written(value)] for name, value in delivery.headers],
            "body": _written(delivery.body),
        },
        separators=(",", ":"),
    )


def read(file: Path) -> list[Message]:
    """Read a recording; raise ConfigurationError, which names the line, for what is none."""
    found: list[Message] = []
    try:
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is no recording: {error}") from error
    for number, text in enumerate(filter(None, lines), start=1):
        try:
            found.append(message(text))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{file}, line {number} is no recorded message ({error!r}): "
                "write one with choreo tail --record"
            ) from error
    return found


def message(text: str) -> Message:
    """Read one line; raise ValueError, KeyError or TypeError for what is none."""
    said = cast("Mapping[str, object]", from_json(text))
    topic, headers = said["topic"], said["headers"]
    if not isinstance(topic, str) or not isinstance(headers, list):
        raise TypeError("a topic is a text, and headers are a list")
    told = cast("Sequence[tuple[object, object]]", headers)
    pairs: list[Header] = [(str(name), _bytes(value)) for name, value in told]
    return Message(topic, _bytes(said["body"]), _bytes(said["key"]), pairs)


def _written(data: bytes | None) -> Written:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def _bytes(said: object) -> bytes | None:
    if said is None:
        return None
    if isinstance(said, str):
        return said.encode()
    if isinstance(said, dict):
        written = cast("Mapping[str, str]", said)["base64"]
        return b64decode(written, validate=True)
    raise TypeError(f"{said!r} is neither text nor base64")
