"""The few entries of a history that tell how one violation came about."""

from collections.abc import Sequence

from choreo.testing.checker.entries import Entry
from choreo.testing.checker.evidence import Evidence
from choreo.testing.checker.violation import Violation

LONGEST = 40
"""Lines of a story."""
BESIDE = 3
"""Neighbours in its key before and behind an event."""
STAGE = frozenset(("assign", "revoke", "commit"))
DRIVEN = frozenset(("fault_start", "fault_end", "proc_kill", "proc_start", "heal"))
LEAST = 8
"""Lines that an event's own history gets in any case."""


def story(evidence: Evidence, violation: Violation) -> list[str]:
    """Select the event, its cause and children, its neighbours, its stream and faults, by time."""
    record = evidence.first.get(violation.id)
    tp = violation.tp or (record.tp if record else "")
    kin = {violation.id, record.cause if record else ""} - {""}
    kin |= {one.id for one in evidence.first.values() if one.cause == violation.id and one.cause}
    beside = _neighbours(evidence, violation)
    own = [entry for entry in _all(evidence) if entry.id in kin]
    near = [entry for entry in evidence.entries if entry.id in beside and entry.id not in kin]
    about = [entry for entry in evidence.entries if entry.kind in STAGE and tp and entry.tp == tp]
    driven = [entry for entry in evidence.entries if entry.kind in DRIVEN]
    chosen = own[:LONGEST]
    when = [entry.at for entry in own] or [entry.at for entry in near] or [0.0]
    for others in (driven, near, about):
        others.sort(key=lambda entry: _distance(entry.at, min(when), max(when)))
        chosen += others[: max(0, min(LEAST * 2, LONGEST - len(chosen)))]
    chosen.sort(key=lambda entry: entry.at)
    return [str(entry) for entry in chosen[:LONGEST]]


def _all(evidence: Evidence) -> list[Entry]:
    """Give the entries, and beside them the rows and records that outrank them."""
    truth = [
        Entry(
            at=effect.at,
            kind="effect",
            proc=effect.proc,
            incarnation=effect.incarnation,
            service=effect.service,
            handler=effect.handler,
            id=effect.id,
            key=effect.key,
            seq=effect.seq,
            text="(row)",
        )
        for effect in evidence.effects
    ]
    records = [
        Entry(at=one.at, kind="emit", id=one.id, key=one.key, tp=one.tp, offset=one.offset)
        for one in evidence.log
    ]
    return sorted([*evidence.entries, *truth, *records], key=lambda entry: entry.at)


def _neighbours(evidence: Evidence, violation: Violation) -> Sequence[str]:
    """List the ids beside an event in its handler's key."""
    lane = [
        effect.id
        for effect in evidence.effects
        if effect.key == violation.key and violation.handler in {"", effect.handler}
    ]
    if violation.id not in lane:
        return lane[-BESIDE:] if violation.key else []
    place = lane.index(violation.id)
    return lane[max(0, place - BESIDE) : place + BESIDE + 1]


def _distance(at: float, begin: float, end: float) -> float:
    return max(begin - at, 0.0, at - end)
