"""What a worker puts numbered events in order with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from choreo.delivery.numbered import Gap, Room
from choreo.delivery.positions import PassingPositions
from choreo.store.streams import Positions

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


async def _nobody(_: Gap) -> None:
    """Ask nobody."""


def unsequenced() -> Sequencing:
    """Return what a worker needs none of whose handlers has its events put in order."""
    return Sequencing(streams=PassingPositions(1), room=Room(), ask=_nobody, wanted=False)
