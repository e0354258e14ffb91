"""What a million keys cost beside a thousand: an event, an idle key, a pause of the collector."""

import asyncio
from collections.abc import Sequence

from bench.child import Child
from bench.measure import Result, compared

FEW, MANY = 1_000, 1_000_000
IDLE_BYTES = 160
"""What an idle key may keep of memory."""
PAUSE = 20.0
"""Milliseconds of processor time for which the collector may hold up all handlers."""


async def keys(runs: int) -> Sequence[Result]:
    """Measure ``keys``, ``keys_bytes`` and ``keys_pause`` on two services that take turns."""
    module = "bench.many_keys"
    async with (
        Child.running(module, str(FEW)) as few,
        Child.running(module, str(MANY)) as many,
    ):
        grown = await asyncio.gather(many.ask("primed"), few.ask("primed"))
        idle = bytes_a_key(*(one["grown"] for one in grown))
        rounds = [(await many.ask("round"), await few.ask("round")) for _ in range(2 * runs + 1)][
            1:
        ]
    costs = [(one["cost"] * 1e6, other["cost"] * 1e6) for one, other in rounds]
    pauses = [(one["pause"] * 1e3, PAUSE) for one, _ in rounds]
    return (
        compared("keys", costs, unit="µs CPU", better="less"),
        compared("keys_bytes", [(idle, IDLE_BYTES)], unit="bytes", better="less"),
        compared("keys_pause", pauses, unit="ms CPU", better="less"),
    )


def bytes_a_key(many: float, few: float) -> float:
    """Tell what one more key adds, given the growth with many and with few; 1 if it is nothing."""
    return max((many - few) / (MANY - FEW), 1.0)
