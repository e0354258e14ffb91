"""An end that comes in time, caps that are kept, and enough seen to say so."""

from collections import Counter
from collections.abc import Iterator, Mapping

from choreo.testing.checker.evidence import Evidence, Sight
from choreo.testing.checker.violation import Violation


def liveness(evidence: Evidence) -> Iterator[Violation]:
    """13. Once all is healed everything ends in time, and nobody dies any more."""
    healed = max((entry.at for entry in evidence.of("heal")), default=None)
    if healed is None:
        return
    deadline = healed + evidence.bounds.recovery
    for share, effect in evidence.effective.items():
        if effect.at > deadline:
            text = f"id={effect.id} handler={share[1]} ended {effect.at - healed:.1f} s after heal"
            yield Violation(text=text, id=effect.id, handler=share[1], key=effect.key)
    for entry in evidence.of("proc_stop"):
        if entry.at > healed and entry.result not in {"", "0"}:
            yield Violation(text=f"{entry.who} ended by itself, with {entry.result}")
    if evidence.final and not any(entry.at >= healed for entry in evidence.of("finish")):
        yield Violation(text="the run never came to rest after it was healed")


def boundedness(evidence: Evidence) -> Iterator[Violation]:
    """14. No sample of any process is above its cap."""
    caps = evidence.bounds
    limits = {"rss": caps.rss, "queue": caps.queue, "span": caps.span}
    worst: dict[tuple[str, str], float] = {}
    for entry in evidence.of("sample"):
        place = (entry.text, entry.who)
        worst[place] = max(worst.get(place, 0.0), entry.value)
    for (what, who), value in worst.items():
        limit = limits.get(what, 0.0)
        if limit and value > limit:
            yield Violation(text=f"{who}: {what} rose to {value:g}, above {limit:g}")


def vacuity(evidence: Evidence) -> Iterator[Violation]:
    """15. The run saw what it is to show something about, and its faults have bitten."""
    seen = sightings(evidence)
    for sight in sorted(evidence.bounds.sights):
        if not seen[sight]:
            yield Violation(text=f"never seen: {sight}")
    bitten = {entry.text for entry in evidence.of("fault_end") if entry.result == "bit"}
    for fault in sorted(evidence.bounds.faults - bitten):
        yield Violation(text=f"never bit: {fault}")


def sightings(evidence: Evidence) -> Mapping[Sight, int]:
    """Count what makes a run worth looking at."""
    delivered = Counter((entry.service, entry.id) for entry in evidence.of("deliver"))
    copies = Counter(record.id for record in evidence.log)
    ended, undone = (
        {(one.service, one.id) for one in evidence.of("saga_step") if one.result == result}
        for result in ("ended", "undone")
    )
    unknown = {identity for identity, fates in evidence.fates.items() if fates == {"unknown"}}
    return {
        "redelivery": sum(
            max(0, times - max(1, copies[identity])) for (_, identity), times in delivered.items()
        ),
        "dedupe hit": sum(1 for _ in evidence.of("dedupe_hit")),
        "rebalance": sum(1 for _ in evidence.of("revoke")),
        "kill between effect and ack": _killed_between(evidence),
        "stale-epoch ack": sum(1 for _ in evidence.of("stale_ack")),
        "dead letter": len(evidence.dead),
        "gap filled": sum(1 for _ in evidence.of("buffer_out")) or _put_in_order(evidence),
        "gap skipped": sum(1 for entry in evidence.of("skip") if entry.text == "gap"),
        "unknown publish that existed": len(unknown & evidence.first.keys()),
        "unknown publish that did not": len(unknown - evidence.first.keys()),
        "saga completed": len(ended - undone),
        "saga compensated": len(ended & undone),
    }


def _put_in_order(evidence: Evidence) -> int:
    """Count the numbered events that are in the log behind their successors."""
    newest: dict[tuple[str, str, str], int] = {}
    behind = 0
    for record in evidence.first.values():
        if record.seq:
            lane = (record.tp, record.type, record.key)
            behind += record.seq < newest.get(lane, 0)
            newest[lane] = max(record.seq, newest.get(lane, 0))
    return behind


def _killed_between(evidence: Evidence) -> int:
    """Count the effects whose process died before it told the broker."""
    acked = {(entry.proc, entry.incarnation, entry.id) for entry in evidence.of("ack")}
    killed = {(entry.proc, entry.incarnation) for entry in evidence.of("proc_kill")}
    return sum(
        (effect.proc, effect.incarnation) in killed
        and (effect.proc, effect.incarnation, effect.id) not in acked
        for effect in evidence.effects
    )
