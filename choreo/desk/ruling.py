"""Which letters may be replayed, and under which number: decided without looking at the broker."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from choreo.desk.case import Case, State
from choreo.replay import MAX_REPLAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How letters are to be replayed."""

    to: str | None = None
    """A topic to publish the messages to as they came, in place of the handler that failed."""
    again: bool = False
    """Send what was sent before once more, under the same number: it is handled once."""
    force: bool = False
    """Have it handled although it is done, or was replayed too often: its effects happen again."""
    rate: float | None = None
    """Letters a second."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What would be done, and what would not."""

    cases: list[Case] = field(default_factory=list[Case])
    refused: dict[str, list[Case]] = field(default_factory=dict[str, list[Case]])
    """Letters by why they stay where they are."""


def rule(cases: Iterable[Case], wish: Wish) -> Ruling:
    """Tell which of *cases* are replayed as *wish* says."""
    ruling = Ruling()
    for case in cases:
        why = objection(case, wish)
        if why is None:
            ruling.cases.append(case)
        else:
            ruling.refused.setdefault(why, []).append(case)
    return ruling


def objection(case: Case, wish: Wish) -> str | None:
    """Tell why *case* stays where it is; None if it goes."""
    if case.problem is not None:
        return "it is spoilt and cannot be restored"
    if not case.replayable and wish.to is None:
        return "this service did not bury it: name a topic with --to"
    if case.state is not State.OPEN and not (wish.again or wish.force):
        return f"it was {case.state} already: say --again"
    if wish.to is None and not wish.force and case.replays >= MAX_REPLAYS:
        return f"it was replayed {MAX_REPLAYS} times or more: say --force"
    return None


def generation(case: Case, wish: Wish) -> int:
    """Tell the number of the replay: the same for whoever replays it, save where it is forced.

    Staged twice, by two people or after a crash, it is one replay (I12, staged replay of
    ServiceControl without its staging queue).
    """
    following = case.replays + 1
    return max(following, case.sent + 1) if wish.force else following
