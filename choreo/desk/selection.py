"""Which cases are meant: filters that all must hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from choreo.desk.case import Case, State

OPEN = frozenset({State.OPEN})
EVERY = frozenset(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What somebody asks for; what is None is not asked."""

    states: frozenset[State] = OPEN
    identity: str | None = None
    """Id of the letter, or of the event in it; or where letters begin with it, eight digits on."""
    event: str | None = None
    """Type of the event, with or without version."""
    handler: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    """The fingerprint, or how it begins."""
    key: str | None = None
    since: datetime | None = None
    """Buried then or later; aware."""
    until: datetime | None = None
    """Buried before then; aware."""
    limit: int | None = None

    def takes(self, case: Case) -> bool:
        """Say whether *case* is meant."""
        told = case.told
        return (
            case.state in self.states
            and self._takes_identity(case)
            and self._takes_event(case)
            and self.handler in {None, told.handler}
            and self.reason in {None, told.reason}
            and self.key in {None, case.key}
            and self._takes_time(told.buried)
            and (self.fingerprint is None or case.fingerprint.startswith(self.fingerprint))
        )

    def of(self, cases: Iterable[Case]) -> list[Case]:
        """Tell those of *cases* that are meant, in their order."""
        return [case for case in cases if self.takes(case)][: self.limit]

    def _takes_identity(self, case: Case) -> bool:
        wanted = self.identity
        if wanted is None or wanted in {case.id, case.event_id}:
            return True
        return len(wanted) >= SHORT_ID and case.id.startswith(wanted)

    def _takes_event(self, case: Case) -> bool:
        kind = case.kind or ""
        return self.event in {None, kind, kind.rpartition(".v")[0]}

    def _takes_time(self, buried: datetime | None) -> bool:
        if self.since is None and self.until is None:
            return True
        return (
            buried is not None
            and (self.since is None or buried >= self.since)
            and (self.until is None or buried < self.until)
        )


SHORT_ID = 8
