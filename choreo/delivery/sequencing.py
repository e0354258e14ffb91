"""What a worker puts numbered events in order with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from choreo.delivery.numbered import Gap, Room
from choreo.delivery.positions import PassingPositions
from choreo.gaps import Gaps
from choreo.store.lot import Lot
from choreo.store.streams import Positions

MOMENT = 0.25
"""Seconds for which what is held back stays in memory although it is to wait in the store: most of
what comes in the wrong order is put right by then, and costs no transaction."""

Ask = Callable[[Gap], Awaitable[None]]
"""Asks a gap's source for what is missing; raises BrokerError if it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequencing:
    """What a worker puts numbered events in order with."""

    streams: Positions
    room: Room
    ask: Ask
    wanted: bool = True
    """Whether any handler has its events put in order."""
    lot: Lot | None = None
    """Where what is held back may wait, if it can: it outlives the process if the broker does."""
    spools: bool = False
    """Everything held back waits there: the broker would stop at what is not settled."""

    def linger(self, gaps: Gaps) -> float | None:
        """Tell after how many seconds what is held back is to wait in the store; None: never."""
        if self.lot is None:
            return None
        if self.spools:
            return MOMENT
        return gaps.patience.total_seconds() if gaps.policy == "park" else None


async def _nobody(_: Gap) -> None:
    """Ask nobody."""


def unsequenced() -> Sequencing:
    """Return what a worker needs none of whose handlers has its events put in order."""
    return Sequencing(streams=PassingPositions(1), room=Room(), ask=_nobody, wanted=False)
