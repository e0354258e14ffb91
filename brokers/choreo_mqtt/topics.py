"""Topic names and filters of MQTT (OASIS MQTT 5.0 §4.7): which are usable, and which match."""

import re
from collections.abc import Iterable, Sequence

from choreo_mqtt.wire import QOS, REFUSED

MAX_BYTES = 65535
"""Longest string in MQTT (§1.5.4)."""

SHARED = ("$share/", "$queue/")

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
"""What §1.5.4 forbids or advises against; Mosquitto cuts the connection of whoever sends it."""


def text_problem(text: str) -> str | None:
    """Say why *text* cannot be a string in an MQTT packet, or None if it can."""
    if text.isprintable():  # has none of them: the usual case, and the fast one
        return None
    found = UNSAFE.search(text)
    return (
        f"holds the character U+{ord(found[0]):04X}, which MQTT brokers refuse" if found else None
    )


def name_problem(topic: str) -> str | None:
    """Say why nothing can be published to *topic*, or None if it can."""
    if not topic:
        return "is empty"
    if "+" in topic or "#" in topic:
        return "holds a wildcard"
    if topic[0] == "$":
        return "begins with '$', which is the broker's own"
    return _string_problem(topic)


def filter_problem(name: str) -> str | None:
    """Say why *name* is no filter to subscribe to, or None if it is one."""
    if not name:
        return "is empty"
    if name.startswith(SHARED):
        return (
            "is a shared subscription, which is no consumer group: what a member held when it left "
            "is lost or parked, and keys are not kept in order; scale by topics, a service each"
        )
    levels = name.split("/")
    if "#" in levels[:-1] or any("#" in level and level != "#" for level in levels):
        return "has '#' elsewhere than as its whole last level"
    if any("+" in level and level != "+" for level in levels):
        return "has '+' within a level"
    return _string_problem(name)


def ungranted(names: Sequence[str], codes: Sequence[int]) -> Sequence[str]:
    """Tell which of the filters *names* a broker's *codes* do not grant at QoS 1, and why."""
    return [
        f"{name!r} (reason code 0x{code:02X})" if code >= REFUSED else f"{name!r} (only QoS {code})"
        for name, code in zip(names, codes, strict=True)
        if code != QOS
    ]


def matcher(names: Iterable[str]) -> re.Pattern[str]:
    """Build a pattern whose ``fullmatch`` tells whether a topic matches any of the filters."""
    return re.compile("|".join(_pattern(name) for name in names) or r"(?!)", re.DOTALL)


def _pattern(name: str) -> str:
    if name == "#":
        return r"(?!\$).*"
    levels = name.split("/")
    deep = levels[-1] == "#"
    parts = [
        "[^/]*" if level == "+" else re.escape(level) for level in levels[: -1 if deep else None]
    ]
    guard = r"(?!\$)" if levels[0] == "+" else ""
    # "a/#" matches "a" itself, too (§4.7.1.2).
    return guard + "/".join(parts) + ("(?:/.*)?" if deep else "")


def _string_problem(text: str) -> str | None:
    problem = text_problem(text)
    if problem is None and len(text.encode()) > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes"
    return problem
