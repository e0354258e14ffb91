"""Identities as a port: fresh ids for roots, derived ids for everything a handler emits."""

import re
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


TIMED = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
).fullmatch
"""Finds UUIDs that begin with a time: version 7, or the version 8 that is derived from it here."""


def derived(source: str, cause_source: str, cause_id: str, handler: str, ordinal: int) -> str:
    """Derive the id of the *ordinal*-th event that *handler* emits because of one event.

    A hash (UUIDv5, RFC 9562) over the length-prefixed parts, so that a handler run again emits the
    same ids and no two combinations of parts share a name. Where the cause's id begins with a time,
    as a UUIDv7 does, the derived id begins with the same one and is a UUIDv8: the ids of one
    conversation lie together in every index they are kept in.
    """
    before, after = _framed(source, cause_source), _framed(handler, str(ordinal))
    hashed = str(uuid_utils.uuid5(NAMESPACE, f"{before}{len(cause_id)}:{cause_id}{after}"))
    return f"{cause_id[:14]}8{hashed[15:]}" if TIMED(cause_id) else hashed


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
