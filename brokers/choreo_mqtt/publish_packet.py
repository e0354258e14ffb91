"""PUBLISH and its PUBACK in MQTT 5 (OASIS MQTT 5.0 §3.3, §3.4) as bytes, and no other packet.

Client libraries spend most of their time here, and some refuse strings that the standard allows (a
byte order mark, §1.5.4).  A message that cannot be read would be sent again after every reconnect
for ever, so reading is as tolerant as the framing allows: header values stay bytes, and bytes that
are no UTF-8 in a name are shown escaped.  Only lengths that reach beyond the packet are an error.
"""

from collections.abc import Sequence

from choreo.message import Header
from choreo_mqtt.wire import QOS, Incoming

CONTENT_TYPE = "content-type"
"""Pseudo header that is the Content Type property on the wire."""

PUBLISH = 0x30
"""First byte of the packet, but for its flags (§2.1)."""
PUBACK = 0x40
PAYLOAD_FORMAT = 0x01
CONTENT_TYPE_PROPERTY = 0x03
CONTENT_TYPE_START = bytes((CONTENT_TYPE_PROPERTY,))
SUBSCRIPTION_IDENTIFIER = 0x0B
USER_PROPERTY = 0x26
FIXED_LENGTHS = {PAYLOAD_FORMAT: 1, 0x02: 4, 0x23: 2}
LENGTH_PREFIXED = {0x08, 0x09}
MAX_REMAINING = 268_435_455
MORE = 0x80
"""Bit of a Variable Byte Integer that says another byte follows (§1.5.5)."""
MAX_SHIFT = 28
TEXT_PAYLOAD = bytes((PAYLOAD_FORMAT, 1))
PLAIN_PUBACK = bytes((PUBACK, 2))
"""An answer of two bytes means success (§3.4.2.1)."""


class MalformedPublish(Exception):
    """Lengths in a PUBLISH that do not fit into it."""


def read_publish(flags: int, packet: bytes | bytearray) -> Incoming:
    """Read a PUBLISH from the low four bits of its first byte and all after its length."""
    qos = (flags >> 1) & 3
    try:
        at = 2 + (packet[0] << 8 | packet[1])
        topic = packet[2:at].decode("utf-8", "backslashreplace")
        mid = 0
        if qos:
            mid = packet[at] << 8 | packet[at + 1]
            at += 2
        length, at = _varint(packet, at)
        end = at + length
        if end > len(packet):
            raise MalformedPublish("properties reach beyond the packet")
        headers = _headers(packet, at, end) if length else ()
    except IndexError:
        raise MalformedPublish("the packet is cut off") from None
    return Incoming(topic, bytes(packet[end:]), headers, mid, qos, bool(flags & 1), len(packet))


def read_puback(packet: bytes | bytearray) -> tuple[int, int] | None:
    """Read packet id and reason code from what follows a PUBACK's length; None if it is none."""
    length = len(packet)
    if length < 2:  # noqa: PLR2004 -- the bytes of an id
        return None
    return packet[0] << 8 | packet[1], packet[2] if length > 2 else 0  # noqa: PLR2004


def pack_puback(mid: int) -> bytes:
    """Encode the PUBACK that accepts a message."""
    return PLAIN_PUBACK + mid.to_bytes(2)


def pack_head(topic: bytes, rest: int, *, retain: bool) -> bytes:
    """Encode a PUBLISH up to its packet id; *rest* bytes follow that."""
    remaining = 2 + len(topic) + 2 + rest
    first = PUBLISH | QOS << 1 | retain
    return b"".join((bytes((first,)), varint(remaining), len(topic).to_bytes(2), topic))


def pack_name(name: bytes) -> bytes:
    """Begin a User Property, whose value is to follow."""
    return b"".join((bytes((USER_PROPERTY,)), len(name).to_bytes(2), name))


def pack_properties(
    headers: Sequence[tuple[bytes, bytes]], content_type: bytes | None, *, text: bool
) -> bytes:
    """Encode the properties of a PUBLISH with their length, names as ``pack_name`` made them.

    *text* says that the body is UTF-8.
    """
    parts: list[bytes] = [TEXT_PAYLOAD] if text else []
    if content_type is not None:
        parts += (CONTENT_TYPE_START, len(content_type).to_bytes(2), content_type)
    for name, value in headers:
        parts += (name, len(value).to_bytes(2), value)
    packed = b"".join(parts)
    return varint(len(packed)) + packed


def varint(value: int) -> bytes:
    """Encode a Variable Byte Integer (§1.5.5)."""
    if value < MORE:
        return bytes((value,))
    out = bytearray()
    while value >= MORE:
        out.append(value & 0x7F | MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def _headers(packet: bytes | bytearray, at: int, end: int) -> tuple[Header, ...]:
    headers: list[Header] = []
    content_type: Header | None = None
    while at < end:
        kind = packet[at]
        at += 1
        if kind == USER_PROPERTY:
            middle = at + 2 + (packet[at] << 8 | packet[at + 1])
            after = middle + 2 + (packet[middle] << 8 | packet[middle + 1])
            name = packet[at + 2 : middle].decode("utf-8", "backslashreplace")
            headers.append((name, bytes(packet[middle + 2 : after])))
            at = after
        elif kind == CONTENT_TYPE_PROPERTY:
            after = at + 2 + (packet[at] << 8 | packet[at + 1])
            content_type = (CONTENT_TYPE, bytes(packet[at + 2 : after]))
            at = after
        else:
            at = _skip(packet, kind, at)
    if at != end:
        raise MalformedPublish("a property reaches beyond the properties")
    return tuple(headers) if content_type is None else (content_type, *headers)


def _skip(packet: bytes | bytearray, kind: int, at: int) -> int:
    if kind in FIXED_LENGTHS:
        return at + FIXED_LENGTHS[kind]
    if kind in LENGTH_PREFIXED:
        return at + 2 + (packet[at] << 8 | packet[at + 1])
    if kind == SUBSCRIPTION_IDENTIFIER:
        return _varint(packet, at)[1]
    raise MalformedPublish(f"unknown property {kind}")


def _varint(packet: bytes | bytearray, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = packet[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < MORE:
            return value, at
        shift += 7
        if shift == MAX_SHIFT:
            raise MalformedPublish("a length has more than four bytes")
