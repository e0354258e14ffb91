"""Whether a new version of a contract may stand beside the earlier ones, and who goes first.

The modes are those of schema registries. *Backward* asks that the new schema reads what the old
one wrote, so that consumers can go first; *forward* the other way round. A mode that is not
transitive looks at the last version only, which does not protect a topic that keeps older ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from choreo.contracts.mode import Direction, Mode
from choreo.contracts.resolution import Kind, Obstacle, obstacles, spell_path
from choreo.contracts.schema import Schema


class Order(StrEnum):
    """Who may be deployed first."""

    ANY = "any order"
    CONSUMERS = "consumers first"
    """The new reads the old, and the old does not read the new."""
    PRODUCERS = "producers first"
    """The old reads the new, and the new does not read the old."""
    NONE = "no order"
    """Neither reads the other: both at once, or a way around."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a contract."""

    number: int
    schema: Schema


@dataclass(frozen=True, slots=True)
class Finding:
    """One place at which a version breaks with an earlier one."""

    earlier: int
    """The version it breaks with."""
    direction: Direction
    kind: Kind
    path: tuple[str, ...]
    was: str | None
    """What the earlier version has there; None for nothing."""
    now: str | None
    """What the new version has there; None for nothing."""

    @property
    def at(self) -> str:
        """The place as one writes it: ``items[].price``."""
        return spell_path(self.path)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comes of putting a version beside earlier ones."""

    mode: Mode
    findings: tuple[Finding, ...]
    """All there are, in every direction, with every earlier version that the mode looks at."""

    @property
    def breaks(self) -> tuple[Finding, ...]:
        """The findings that the mode forbids."""
        return tuple(one for one in self.findings if one.direction in self.mode.directions)

    @property
    def compatible(self) -> bool:
        """Tell whether the mode allows it."""
        return not self.breaks

    @property
    def order(self) -> Order:
        """Who may be deployed first."""
        return deploy_order(self.findings)


def judge(new: Schema, earlier: Sequence[Version], mode: Mode = Mode.FULL_TRANSITIVE) -> Verdict:
    """Compare *new* with *earlier* versions, oldest first, as *mode* demands."""
    regarded = earlier if mode.transitive or mode is Mode.NONE else earlier[-1:]
    return Verdict(mode, tuple(one for old in regarded for one in findings(new, old)))


def findings(new: Schema, old: Version) -> list[Finding]:
    """List where *new* and *old* cannot read each other."""
    back = [
        _finding(one, old, Direction.BACKWARD, was=one.written, now=one.read)
        for one in obstacles(reader=new, writer=old.schema)
    ]
    forth = [
        _finding(one, old, Direction.FORWARD, was=one.read, now=one.written)
        for one in obstacles(reader=old.schema, writer=new)
    ]
    return back + forth


def deploy_order(found: Sequence[Finding]) -> Order:
    """Tell who may be deployed first, given what was found."""
    broken = {one.direction for one in found}
    if not broken:
        return Order.ANY
    if len(broken) > 1:
        return Order.NONE
    return Order.CONSUMERS if Direction.FORWARD in broken else Order.PRODUCERS


def _finding(
    one: Obstacle, old: Version, direction: Direction, *, was: str | None, now: str | None
) -> Finding:
    return Finding(old.number, direction, one.kind, one.path, was, now)
