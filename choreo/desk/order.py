"""In which order letters are replayed: one key's as they first came, keys side by side."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count

from choreo.desk.case import Case

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def rounds(cases: Iterable[Case], *, lasting: bool) -> Iterator[list[Case]]:
    """Deal *cases* out: of each lane its first, then of each its second, the oldest lane first.

    *lasting*: positions tell the order in which messages first came; elsewhere the times do at
    which they first failed, which within a lane is the same order.
    """
    lanes: dict[Hashable, list[Case]] = {}
    for case in cases:
        lanes.setdefault(case.lane, []).append(case)
    sorted_lanes = [_in_order(lane, lasting=lasting) for lane in lanes.values()]
    sorted_lanes.sort(key=lambda lane: _age(lane[0]))
    for place in count():
        sorted_lanes = [lane for lane in sorted_lanes if len(lane) > place]
        if not sorted_lanes:
            return
        yield [lane[place] for lane in sorted_lanes]


def portions(cases: Iterable[Case], *, size: int, most: int) -> Iterator[list[Case]]:
    """Cut *cases*, in order, into portions of at most *most*, and *size* bytes but for one."""
    portion: list[Case] = []
    taken = 0
    for case in cases:
        if portion and (taken + case.size > size or len(portion) == most):
            yield portion
            portion, taken = [], 0
        portion.append(case)
        taken += case.size
    if portion:
        yield portion


def waves(cases: Sequence[Case], most: int) -> Iterator[list[Case]]:
    """Cut *cases*, in order, where a lane comes again: what is sent at once has no order."""
    wave: list[Case] = []
    lanes: set[Hashable] = set()
    for case in cases:
        if wave and (case.lane in lanes or len(wave) == most):
            yield wave
            wave, lanes = [], set()
        wave.append(case)
        lanes.add(case.lane)
    if wave:
        yield wave


def _in_order(lane: list[Case], *, lasting: bool) -> list[Case]:
    positions = [case.told.position for case in lane]
    if lasting and None not in positions and len({case.told.stream for case in lane}) == 1:
        return sorted(lane, key=lambda case: (case.told.position or 0, case.position))
    return sorted(lane, key=_age)


def _age(case: Case) -> tuple[datetime, int, int]:
    return (case.since or LONG_AGO, case.told.position or 0, case.position)
