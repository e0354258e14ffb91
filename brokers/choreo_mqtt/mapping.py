"""How a Message becomes a PUBLISH, and a PUBLISH a Delivery.

What MQTT can say is said, the rest is refused with a reason.

Headers are User Properties, in order, with duplicates; the first ``content-type`` is the Content
Type property.  A key stays behind: order holds per topic.  An empty body with ``retain`` deletes
the value the broker keeps, and so does a tombstone (a body of None); a tombstone without ``retain``
cannot be told from an empty message and is refused.
"""

from choreo.message import Delivery, Message
from choreo_mqtt.publish_packet import (
    CONTENT_TYPE,
    MAX_REMAINING,
    pack_head,
    pack_name,
    pack_properties,
)
from choreo_mqtt.topics import MAX_BYTES, name_problem, text_problem
from choreo_mqtt.wire import Incoming, Outgoing

KNOWN_NAMES = 1_000
"""Names of headers that are kept as they are encoded; a program uses a few, one that makes them up
without end forgets them."""
_names: dict[str, bytes] = {}


class Unsendable(Exception):
    """A message that MQTT cannot carry; the text says why, and holds no value of it."""


def outgoing(message: Message) -> Outgoing:
    """Encode *message*; raise Unsendable if MQTT cannot carry it."""
    problem = name_problem(message.topic)
    if problem is not None:
        raise Unsendable(f"topic {message.topic[:100]!r} {problem}")
    body = message.body
    if body is None:
        if not message.retain:
            raise Unsendable("MQTT has no tombstones: a body of None needs retain=True")
        body = b""
    headers: list[tuple[bytes, bytes]] = []
    content_type: bytes | None = None
    for name, value in message.headers:
        if value is None:
            raise Unsendable(
                f"header {name[:100]!r} has no value, which a User Property cannot say"
            )
        if len(value) > MAX_BYTES or not (value.isascii() and value.decode().isprintable()):
            _check(name, value)
        if name == CONTENT_TYPE and content_type is None:
            content_type = value
        else:
            headers.append((_names.get(name) or _name(name), value))
    text = content_type is not None and b"json" in content_type and _is_utf8(body)
    properties = pack_properties(headers, content_type, text=text)
    topic, rest = message.topic.encode(), len(properties) + len(body)
    if (remaining := 2 + len(topic) + 2 + rest) > MAX_REMAINING:
        raise Unsendable(f"{remaining} bytes are more than MQTT's {MAX_REMAINING}")
    head = pack_head(topic, rest, retain=message.retain)
    size = len(head) + 2 + rest
    return Outgoing(message.topic, head, properties, body, message.retain, size)


def delivered(incoming: Incoming, *, stream: str, position: int, epoch: int) -> Delivery:
    """Make the delivery that *incoming* is."""
    return Delivery(
        topic=incoming.topic,
        body=incoming.body,
        headers=incoming.headers,
        retain=incoming.retain,
        stream=stream,
        position=position,
        epoch=epoch,
    )


def _name(name: str) -> bytes:
    encoded = name.encode("utf-8", "surrogatepass")
    _check(name, encoded)
    if len(_names) >= KNOWN_NAMES:
        _names.clear()
    _names[name] = pack_name(encoded)
    return _names[name]


def _check(name: str, value: bytes) -> None:
    """Raise Unsendable unless *value*, or the name itself, can be a string of MQTT."""
    if len(value) > MAX_BYTES:
        raise Unsendable(f"header {name[:100]!r} is longer than {MAX_BYTES} bytes")
    try:
        problem = text_problem(value.decode())
    except UnicodeDecodeError:
        raise Unsendable(f"header {name[:100]!r} is not UTF-8 text") from None
    if problem is not None:
        raise Unsendable(f"header {name[:100]!r} {problem}")


def _is_utf8(body: bytes) -> bool:
    """Tell whether *body* may be called text; strict brokers refuse what is not (0x99)."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
