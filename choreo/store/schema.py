"""The tables of a store that has some: which there are, and how they are made or brought up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Which tables a database has."""

    found: int | None
    """Their version; None if there are none."""
    known: int
    """The version that this choreo works with."""
    missing: Sequence[str] = ()
    """Tables that should be there by the version found."""

    @property
    def current(self) -> bool:
        """Say whether a service can work with them."""
        return self.found == self.known and not self.missing


@runtime_checkable
class Tabled(Protocol):
    """A store with tables, which need not be open for this.

    Every method raises StoreError if the database cannot be reached, and is safe to call twice and
    from two processes at once.
    """

    async def standing(self) -> Standing:
        """Find out which tables there are."""
        ...

    async def init(self) -> Standing:
        """Make the tables that are missing; leave those that are there as they are."""
        ...

    async def upgrade(self) -> Standing:
        """Make the tables, or bring older ones to this version.

        Raises SchemaError for those of a newer choreo.
        """
        ...

    def refuse(self, standing: Standing, /) -> None:
        """Raise SchemaError, which says what to do, unless a service can work with the tables."""
        ...
