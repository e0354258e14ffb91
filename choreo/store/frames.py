"""A delivery as one run of bytes, for stores that keep it until it is handled.

Four bytes of length (big-endian), that much JSON, and the body as it is.  The JSON holds topic, key
and headers, in base64 where they are bytes, and where the delivery lay in its stream.
"""

import json
from base64 import b64decode, b64encode

from choreo.errors import StoreError
from choreo.message import Delivery, Header

PREFIX = 4


def pack(delivery: Delivery) -> bytes:
    """Write a delivery whole."""
    about = {
        "topic": delivery.topic,
        "key": _text(delivery.key),
        "headers": [[name, _text(value)] for name, value in delivery.headers],
        "body": delivery.body is not None,
        "retain": delivery.retain,
        "stream": delivery.stream,
        "position": delivery.position,
        "epoch": delivery.epoch,
        "timestamp": delivery.timestamp,
    }
    head = json.dumps(about, separators=(",", ":")).encode()
    return len(head).to_bytes(PREFIX, "big") + head + (delivery.body or b"")


def unpack(frame: bytes) -> Delivery:
    """Read what ``pack`` wrote; raise StoreError for anything else."""
    try:
        end = PREFIX + int.from_bytes(frame[:PREFIX], "big")
        about = json.loads(frame[PREFIX:end])
        headers: list[Header] = [(name, _bytes(value)) for name, value in about["headers"]]
        return Delivery(
            topic=about["topic"],
            body=frame[end:] if about["body"] else None,
            key=_bytes(about["key"]),
            headers=headers,
            retain=about["retain"],
            stream=about["stream"],
            position=about["position"],
            epoch=about["epoch"],
            timestamp=about["timestamp"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError("an event in the store is spoilt: restore it from a backup") from error


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else b64decode(value, validate=True)
