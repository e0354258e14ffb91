"""Identities as a port: fresh ids for roots, derived ids for everything a handler emits."""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol
from uuid import UUID

import uuid_utils

NAMESPACE = uuid_utils.UUID("5f0a3d5e-7c1b-5a3e-9c0a-6d2f6c1f9b11")
"""Namespace of derived event ids; part of the wire format, never to change."""


class Ids(Protocol):
    """Where new event ids come from."""

    def new(self) -> str:
        """Make an id that was never made before; ids made later sort later."""
        ...


class SystemIds:
    """Time-ordered random ids (UUIDv7, RFC 9562)."""

    def new(self) -> str:
        """Make an id that was never made before; ids made later sort later."""
        return str(uuid_utils.uuid7())


HEX = "0123456789abcdef"
TO_NIL = bytes(
    ord("0" if chr(code) in HEX else "-" if chr(code) == "-" else "?") for code in range(256)
)
NIL = b"00000000-0000-0000-0000-000000000000"


def derived(source: str, cause_source: str, cause_id: str, handler: str, ordinal: int) -> str:
    """Derive the id of the *ordinal*-th event that *handler* emits because of one event.

    A hash (UUIDv5, RFC 9562) over the length-prefixed parts, so that a handler run again emits the
    same ids and no two combinations of parts share a name. Where the cause's id begins with a time,
    as a UUIDv7 does, the derived id begins with the same one and is a UUIDv8: the ids of one
    conversation lie together in every index they are kept in.
    """
    before, after = _framed(source, cause_source), _framed(handler, str(ordinal))
    return _hashed(cause_id, f"{before}{len(cause_id)}:{cause_id}{after}")


def deriver(source: str, handler: str) -> Callable[[str, str], str]:
    """Compose what derives the id of the first event that *handler* emits.

    It does as ``derived`` does, from source and id of the cause.
    """
    after = _framed(handler, "0")
    framed = ("", _framed(source, ""))

    def derive(cause_source: str, cause_id: str) -> str:
        nonlocal framed
        known, before = framed
        if known is not cause_source:
            before = _framed(source, cause_source)
            framed = (cause_source, before)
        return _hashed(cause_id, f"{before}{len(cause_id)}:{cause_id}{after}")

    return derive


def _hashed(cause_id: str, parts: str) -> str:
    hashed = str(uuid_utils.uuid5(NAMESPACE, parts))
    # A pattern takes four times as long to find a UUID that begins with a time: version 7, or the
    # version 8 that is made of it here.
    if (
        len(cause_id) == len(NIL)
        and cause_id[14] in "78"
        and cause_id[19] in "89ab"
        and cause_id.isascii()
        and cause_id.encode().translate(TO_NIL) == NIL
    ):
        return f"{cause_id[:14]}8{hashed[15:]}"
    return hashed


@lru_cache(maxsize=1024)
def _framed(first: str, second: str) -> str:
    """Write two parts, each after its length: what differs from event to event stands between."""
    return f"{len(first)}:{first}{len(second)}:{second}"


def as_uuid(value: str) -> UUID | None:
    """Read *value* as a UUID, or None if it is some other kind of id."""
    try:
        return UUID(value)
    except ValueError:
        return None


_: type[Ids] = SystemIds
