"""How a Message becomes a PUBLISH, and a PUBLISH a Delivery.

What MQTT can say is said, the rest is refused with a reason.

Headers are User Properties, in order, with duplicates; the first ``content-type`` is the Content
Type property.  A key stays behind: order holds per topic.  An empty body with ``retain`` deletes
the value the broker keeps, and so does a tombstone (a body of None); a tombstone without ``retain``
cannot be told from an empty message and is refused.
"""

from choreo.message import Delivery, Message
from choreo_mqtt.publish_packet import CONTENT_TYPE, MAX_REMAINING, pack_properties, varint
from choreo_mqtt.topics import MAX_BYTES, name_problem, text_problem
from choreo_mqtt.wire import Incoming, Outgoing


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
        encoded = _text(name, name.encode("utf-8", "surrogatepass")), _value(name, value)
        if name == CONTENT_TYPE and content_type is None:
            content_type = encoded[1]
        else:
            headers.append(encoded)
    text = content_type is not None and b"json" in content_type and _is_utf8(body)
    properties = pack_properties(headers, content_type, text=text)
    topic_bytes = len(message.topic) if message.topic.isascii() else len(message.topic.encode())
    remaining = 2 + topic_bytes + 2 + len(properties) + len(body)
    if remaining > MAX_REMAINING:
        raise Unsendable(f"{remaining} bytes are more than MQTT's {MAX_REMAINING}")
    size = 1 + len(varint(remaining)) + remaining
    return Outgoing(message.topic, body, properties, message.retain, size)


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


def _value(name: str, value: bytes | None) -> bytes:
    if value is None:
        raise Unsendable(f"header {name[:100]!r} has no value, which a User Property cannot say")
    return _text(name, value)


def _text(name: str, value: bytes) -> bytes:
    if len(value) > MAX_BYTES:
        raise Unsendable(f"header {name[:100]!r} is longer than {MAX_BYTES} bytes")
    try:
        problem = text_problem(value.decode())
    except UnicodeDecodeError:
        raise Unsendable(f"header {name[:100]!r} is not UTF-8 text") from None
    if problem is not None:
        raise Unsendable(f"header {name[:100]!r} {problem}")
    return value


def _is_utf8(body: bytes) -> bool:
    """Tell whether *body* may be called text; strict brokers refuse what is not (0x99)."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
