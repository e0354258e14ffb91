"""Whether services may be deployed beside those that run, and in which order.

A deployment is safe if at every moment of it whoever reads an event understands it: when some are
deployed and others are not yet, and when all are. What was at odds before is not made worse by a
deployment and does not forbid it.

While one service is replaced, old and new processes of it run side by side, in one group, and each
event reaches either. What others write and read is judged by the order: none but one service is
replaced at a time, and both of its versions have to go with the others as they are then. What is
left are the events that it sends to itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from choreo.contracts.clash import Clash, Party, clashes, same_event, unwritten
from choreo.contracts.lock import ServiceLock

Locks = Mapping[str, ServiceLock]
"""By the names of services."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One service must be there before another, or they do not understand each other meanwhile."""

    first: str
    then: str
    clash: Clash


@dataclass(frozen=True, slots=True)
class Overlap:
    """What one process of a service writes and another, of its other version, would not take."""

    clash: Clash
    new_writes: bool
    """The new version writes and the old one takes it, or the other way round."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What comes of deploying some services."""

    order: tuple[str, ...] | None
    """In which they may be deployed one after the other; None if there is none."""
    refused: tuple[Clash, ...]
    """What would not be understood when all are there."""
    constraints: tuple[Constraint, ...]
    known: tuple[Clash, ...]
    """What is not understood now, and would not be afterwards."""
    retained: tuple[Clash, ...]
    """What was written before and could not be read again."""
    overlaps: tuple[Overlap, ...] = ()
    """What is at odds within a service while its old and its new processes run."""

    @property
    def safe(self) -> bool:
        """Tell whether to go ahead, in that order."""
        return self.order is not None and not self.refused and not self.overlaps


def can_deploy(candidates: Locks, deployed: Locks, *, side_by_side: bool = True) -> Deployment:
    """Judge *candidates*, which take the place of their like among those *deployed*.

    *side_by_side*: old and new processes of one service run at once; otherwise the old ones have
    ended before the first new one begins.
    """
    after = {**deployed, **candidates}
    before = {_bare(one) for one in _every(deployed, candidates)}
    found = [*_every(after, candidates), *_gone(candidates, deployed)]
    now = [one for one in found if not one.retained]
    refused = [one for one in now if _bare(one) not in before]
    constraints = list(_constraints(candidates, deployed))
    return Deployment(
        order=_order(candidates, constraints),
        refused=tuple(refused),
        constraints=tuple(constraints),
        known=tuple(one for one in now if _bare(one) in before),
        retained=tuple(one for one in found if one.retained and _bare(one) not in before),
        overlaps=tuple(_overlaps(candidates, deployed)) if side_by_side else (),
    )


def _every(services: Locks, concerned: Locks) -> Iterator[Clash]:
    """List what is at odds between any two of which one is *concerned*."""
    parties = [Party(name, lock) for name, lock in sorted(services.items())]
    for writer in parties:
        for reader in parties:
            if writer.name in concerned or reader.name in concerned:
                yield from clashes(writer, reader)


def _constraints(candidates: Locks, deployed: Locks) -> Iterator[Constraint]:
    """List who has to wait for whom, for each would meet the old one of the other."""
    for name in sorted(candidates):
        for other in sorted(candidates):
            old, previous = deployed.get(other), deployed.get(name)
            if name == other or old is None:
                continue
            new, there = Party(name, candidates[name]), Party(other, old)
            now = [*clashes(new, there), *clashes(there, new)]
            was = Party(name, previous or ServiceLock())
            before = {_bare(one) for one in (*clashes(was, there), *clashes(there, was))}
            for clash in now:
                if not clash.retained and _bare(clash) not in before:
                    yield Constraint(first=other, then=name, clash=clash)


def _overlaps(candidates: Locks, deployed: Locks) -> Iterator[Overlap]:
    """List what a service would send to its other version, and did not before within itself."""
    for name in sorted(candidates):
        if name not in deployed:
            continue
        new, old = Party(name, candidates[name]), Party(name, deployed[name])
        known = {_bare(one) for party in (new, old) for one in clashes(party, party)}
        for writer, reader, new_writes in ((new, old, True), (old, new, False)):
            for clash in clashes(writer, reader):
                if not clash.retained and _bare(clash) not in known:
                    yield Overlap(clash, new_writes)


def _order(candidates: Locks, constraints: Sequence[Constraint]) -> tuple[str, ...] | None:
    """Put services in order, by name where nothing else decides; None if they wait in a circle."""
    waiting: dict[str, set[str]] = {name: set() for name in sorted(candidates)}
    for one in constraints:
        waiting[one.then].add(one.first)
    sorter = TopologicalSorter(waiting)
    try:
        sorter.prepare()
    except CycleError:
        return None
    result: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        result += ready
        sorter.done(*ready)
    return tuple(result)


def _gone(candidates: Locks, deployed: Locks) -> Iterator[Clash]:
    """List events that somebody takes, and that nobody writes any more."""
    after = {**deployed, **candidates}
    written = [emission for lock in after.values() for emission in lock.emits]
    for name in sorted(candidates):
        for lost in deployed.get(name, ServiceLock()).emits:
            if not any(same_event(one, lost) for one in written):
                for reader, lock in sorted(after.items()):
                    yield from unwritten(name, lost, Party(reader, lock))


def _bare(one: Clash) -> Clash:
    """Leave out the lines, which move: it is at odds about the same."""
    return replace(one, handlers=())
