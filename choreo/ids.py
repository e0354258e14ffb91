"""Identities as a port: fresh ids for roots, derived ids for everything a handler emits."""

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


def derived(source: str, cause_source: str, cause_id: str, handler: str, ordinal: int) -> str:
    """Derive the id of the *ordinal*-th event that *handler* emits because of one event.

    UUIDv5 (RFC 9562) over the length-prefixed parts, so that a handler run again emits the same ids
    and no two combinations of parts share a name.
    """
    parts = (source, cause_source, cause_id, handler, str(ordinal))
    name = "".join(f"{len(part)}:{part}" for part in parts)
    return str(uuid_utils.uuid5(NAMESPACE, name))


def as_uuid(value: str) -> UUID | None:
    """Read *value* as a UUID, or None if it is some other kind of id."""
    try:
        return UUID(value)
    except ValueError:
        return None


_: type[Ids] = SystemIds
