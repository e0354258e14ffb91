"""One parked key among a thousand, against none: two services on SQLite that take turns.

Theory of operation.  One turn differs from the next by a tenth, and two services that do the same
by a few hundredths over thirty turns; the difference that is looked for is smaller.  So there are
many turns, and each of two processes serves with the key in one half of a round and without it in
the other, so that what is particular to a process meets both.
"""

from bench.child import Child
from bench.events import KEYS
from bench.measure import Result, Taken, of_rounds
from bench.parked_process import SERVE

POISONED = f"customer-{KEYS // 2}"
TURNS = 10
"""How often each has its turn in half a round: what else runs here meets both."""


async def parked_key(runs: int) -> Result:
    """Measure ``parked_key``: events per second of the other keys with it ÷ those without."""
    module = "bench.parked_process"
    async with Child.running(module) as one, Child.running(module) as other:
        rounds = [await _round(one, other) for _ in range(runs + 1)]
    return of_rounds("parked_key", rounds[1:], unit="events/s")


async def _round(one: Child, other: Child) -> tuple[Taken, Taken]:
    with_it: list[Taken] = []
    without: list[Taken] = []
    for poisoned, sound in ((one, other), (other, one)):
        for child, key in ((poisoned, POISONED), (sound, "")):
            await child.ask(f"{SERVE} {key}")
            await _turn(child)  # in which the key is parked, and all is new
        for turn in range(TURNS):
            for child in (poisoned, sound) if turn % 2 else (sound, poisoned):
                (with_it if child is poisoned else without).append(await _turn(child))
    return _all_of(with_it), _all_of(without)


async def _turn(child: Child) -> Taken:
    answer = await child.ask("turn")
    return Taken(int(answer["events"]), answer["seconds"], answer["cpu"])


def _all_of(turns: list[Taken]) -> Taken:
    return Taken(
        sum(turn.events for turn in turns),
        sum(turn.seconds for turn in turns),
        sum(turn.cpu for turn in turns),
    )
