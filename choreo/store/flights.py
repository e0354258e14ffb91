"""What each process is at: so that an event which kills processes is found out (D7).

Before a process touches a batch it writes one row, the batch's *flight*, with 16 bytes for each
event.  A process that dies leaves its flights behind; whoever finds them makes what was in them
*suspect*, with one crash more.  An event that ended is in no flight any more, and no suspect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Incarnation:
    """One life of one process of a service."""

    id: str
    """Never used again."""
    host: str
    """The machine, and the process numbers' name space on it; empty where nobody can tell."""
    pid: int
    started: str
    """When the process was started, as its machine tells, so that a reused number is told apart."""


class Flights(Protocol):
    """The flights of one service. Every method raises StoreError if the store cannot answer."""

    async def keep(self, own: Incarnation, lease: timedelta, /) -> Sequence[Incarnation]:
        """Say that *own* is alive, for *lease* by the database's clock; list the other ones.

        Those whose lease is over are left out: see ``overdue``.
        """
        ...

    async def overdue(self) -> Sequence[Incarnation]:
        """List those whose lease is over."""
        ...

    async def blame(self, dead: Sequence[Incarnation], /) -> None:
        """Count a crash for all that *dead* ones were at, once, whoever else finds them."""
        ...

    async def suspects(self) -> Mapping[bytes, int]:
        """Tell the crashes of every suspect, by its 16 bytes."""
        ...

    async def depart(
        self, own: Incarnation, flight: int, events: Sequence[bytes], landed: Sequence[int], /
    ) -> None:
        """Note what *own* is about to touch, and forget the flights that have *landed*."""
        ...

    async def land(self, own: Incarnation, flights: Sequence[int], /) -> None:
        """Forget flights all of whose events have ended."""
        ...

    async def acquit(self, events: Sequence[bytes], /) -> None:
        """Forget suspects that have ended, or are in the dead letters."""
        ...

    async def leave(self, own: Incarnation, /) -> None:
        """Say that *own* ends of its own accord: nothing that it was at is suspect."""
        ...
