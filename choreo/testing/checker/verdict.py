"""What a run has shown: every property judged, what is wrong ranked, one story told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from choreo.testing.checker.causes import causality
from choreo.testing.checker.conservation import (
    letters_conserved,
    no_duplicate_effect,
    no_loss,
    no_phantom,
    payload_integrity,
)
from choreo.testing.checker.evidence import Evidence, Sight
from choreo.testing.checker.limits import boundedness, liveness, sightings, vacuity
from choreo.testing.checker.order import log_order, one_at_a_time, order_per_key
from choreo.testing.checker.progress import attempts, commit_safety
from choreo.testing.checker.sagas import sagas
from choreo.testing.checker.story import LONGEST, story
from choreo.testing.checker.violation import Property, Violation

PROPERTIES: Mapping[str, Property] = {
    "loss": no_loss,
    "duplicate-effect": no_duplicate_effect,
    "phantom": no_phantom,
    "payload": payload_integrity,
    "order": order_per_key,
    "exclusion": one_at_a_time,
    "causality": causality,
    "conservation": letters_conserved,
    "commit": commit_safety,
    "log-order": log_order,
    "attempts": attempts,
    "saga": sagas,
    "liveness": liveness,
    "boundedness": boundedness,
}
"""By the class of error that each tells; the fifteenth, vacuity, is no error."""
SHOWN = 8
"""Errors of one class that are told; the rest are counted."""


class Code(IntEnum):
    """How a program that judges a run ends: by the worst class, safety before everything."""

    CLEAN = 0
    SAFETY = 10
    """Something was lost, doubled, made up or altered."""
    ORDER = 11
    CAUSALITY = 12
    PROGRESS = 13
    INCONCLUSIVE = 20
    """Nothing is wrong, and too little was seen to say so."""


CODES: Mapping[str, Code] = {
    **dict.fromkeys(
        ("loss", "duplicate-effect", "phantom", "payload", "conservation"), Code.SAFETY
    ),
    **dict.fromkeys(("order", "exclusion", "log-order"), Code.ORDER),
    **dict.fromkeys(("causality", "saga"), Code.CAUSALITY),
    **dict.fromkeys(("commit", "attempts", "liveness", "boundedness"), Code.PROGRESS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the checker says of a run."""

    found: Mapping[str, Sequence[Violation]]
    """By class, the lightest first; classes without any are not there."""
    missing: Sequence[str]
    """What the run should have seen."""
    seen: Mapping[Sight, int]
    context: str = ""
    """Seed and faults, as they stand in each line."""
    story: Sequence[str] = field(default_factory=tuple)
    """The history of the first violation, at most 40 lines."""

    @property
    def code(self) -> Code:
        """The exit code."""
        if self.found:
            return min(CODES[name] for name in self.found)
        return Code.INCONCLUSIVE if self.missing else Code.CLEAN

    @property
    def lines(self) -> list[str]:
        """One line for each violation, ranked, truncated in each class."""
        suffix = f" ({self.context})" if self.context else ""
        told: list[str] = []
        for name, violations in sorted(self.found.items(), key=lambda one: CODES[one[0]]):
            told.extend(f"FAIL {name} {one.text}{suffix}" for one in violations[:SHOWN])
            if len(violations) > SHOWN:
                told.append(f"FAIL {name} and {len(violations) - SHOWN} more")
        told.extend(f"INCONCLUSIVE {text}{suffix}" for text in self.missing)
        return told or [f"PASS{suffix}"]

    def __str__(self) -> str:
        """Tell the verdict and its story."""
        return "\n".join([*self.lines, *(f"  {line}" for line in self.story)])

    def write(self, file: Path) -> None:
        """Write every violation, none left out."""
        lines = [f"{name} {one.text}" for name, found in self.found.items() for one in found]
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def check(evidence: Evidence, *, context: str = "") -> Verdict:
    """Judge a run by every property; *context* (the seed, the faults) stands in each line."""
    found: dict[str, Sequence[Violation]] = {}
    for name, wrong in PROPERTIES.items():
        if violations := sorted(wrong(evidence), key=lambda one: one.weight):
            found[name] = violations
    first = min(found, key=lambda name: CODES[name], default=None)
    return Verdict(
        found=found,
        missing=[one.text for one in vacuity(evidence)],
        seen=sightings(evidence),
        context=context,
        story=story(evidence, found[first][0])[:LONGEST] if first else (),
    )
