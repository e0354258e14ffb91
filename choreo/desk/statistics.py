"""Letters counted: by what went wrong, by handler, by event, by age."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from choreo.desk.case import Case

AGES = (
    ("under an hour", timedelta(hours=1)),
    ("under a day", timedelta(days=1)),
    ("under a week", timedelta(weeks=1)),
)
OLDER = "older"


@dataclass(slots=True)
class Group:
    """Letters that went wrong alike; only one is kept, and the others counted."""

    example: Case
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, case: Case) -> None:
        """Count *case*."""
        self.count += 1
        buried = case.told.buried
        if buried is not None:
            self.first = min(self.first or buried, buried)
            self.last = max(self.last or buried, buried)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The counts of some letters."""

    total: int
    states: Counter[str]
    reasons: Counter[str]
    handlers: Counter[str]
    events: Counter[str]
    fingerprints: Counter[str]
    ages: Counter[str]
    """Since they first failed."""
    oldest: datetime | None
    newest: datetime | None


def groups(cases: Iterable[Case]) -> list[tuple[str, Group]]:
    """Group *cases* by fingerprint, the most frequent first."""
    found: dict[str, Group] = {}
    for case in cases:
        found.setdefault(case.fingerprint, Group(case)).add(case)
    return sorted(found.items(), key=lambda item: -item[1].count)


def statistics(cases: Iterable[Case], now: datetime) -> Statistics:
    """Count *cases*, whose ages end *now*."""
    counted = list(cases)
    moments = [moment for case in counted if (moment := case.since) is not None]

    def by(value: Callable[[Case], str | None]) -> Counter[str]:
        return Counter(value(case) or "–" for case in counted)

    return Statistics(
        total=len(counted),
        states=by(lambda case: case.state),
        reasons=by(lambda case: case.told.reason),
        handlers=by(lambda case: case.told.handler),
        events=by(lambda case: case.kind),
        fingerprints=by(lambda case: case.fingerprint),
        ages=Counter(_age(moment, now) for moment in moments),
        oldest=min(moments, default=None),
        newest=max(moments, default=None),
    )


def _age(moment: datetime, now: datetime) -> str:
    return next((name for name, limit in AGES if now - moment < limit), OLDER)
