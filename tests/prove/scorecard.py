"""What a person reads when a proof is over."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from choreo.testing.checker import Evidence, Verdict
from tests.prove.run import Blow, Outcome

CLASSES = {
    "lost": "loss",
    "duplicate effects": "duplicate-effect",
    "inversions": "order",
    "at once in a key": "exclusion",
    "phantom": "phantom",
    "torn payloads": "payload",
    "conservation": "conservation",
    "causality": "causality",
    "log order": "log-order",
    "unsafe commits": "commit",
    "attempts": "attempts",
    "sagas and timers": "saga",
    "liveness": "liveness",
    "boundedness": "boundedness",
}


def scorecard(outcome: Outcome, verdict: Verdict, seconds: float) -> Iterator[str]:
    """Write the lines of one site."""
    evidence = outcome.evidence
    requests = len(evidence.fates)
    yield f"── {outcome.site}: {len(evidence.first):,} events in {seconds:.0f} s ──"
    yield f"  requests {requests:,}, effects {len(evidence.effects):,}"
    yield f"  records {len(evidence.log):,}, copies included"
    yield f"  dead letters {len(evidence.dead):,}"
    for name, kind in CLASSES.items():
        yield f"  {name:<20} {len(verdict.found.get(kind, ())):>6}"
    yield "  seen: " + ", ".join(f"{name} {times:,}" for name, times in verdict.seen.items())
    yield f"  timed-out sagas whose payment came after all: {_late(evidence)}"
    yield from _faults(outcome.blows)
    for problem in outcome.problems:
        yield f"  VOID {problem}"


def _late(evidence: Evidence) -> int:
    """Count the sagas that had waited for what came later."""
    lapsed = {step.id for step in evidence.of("saga_step") if step.result == "undone"}
    paid = {
        evidence.first[effect.id].corr
        for effect in evidence.effects
        if effect.handler == "settle" and effect.id in evidence.first
    }
    return len(lapsed & paid)


def _faults(blows: Sequence[Blow]) -> Iterator[str]:
    by_name: dict[str, list[Blow]] = defaultdict(list)
    for blow in blows:
        by_name[blow.name].append(blow)
    for name, several in sorted(by_name.items(), key=lambda item: int(item[0][1:3])):
        bitten = [blow for blow in several if blow.proof]
        worst = max(blow.recovery for blow in several)
        proof = bitten[-1].proof if bitten else "VACUOUS"
        told = f"bit {len(bitten)} of {len(several)}, went on within {worst:.1f} s"
        yield f"  {name:<20} {told}; {proof}"
