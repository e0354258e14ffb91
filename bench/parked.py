"""One parked key among a thousand, against none: two services on SQLite that take turns."""

from bench.child import Child
from bench.events import KEYS
from bench.measure import Result, Taken, of_rounds

POISONED = f"customer-{KEYS // 2}"
TURNS = 8
"""How often each has its turn in a round, half a second long: what else runs here meets both."""


async def parked_key(runs: int) -> Result:
    """Measure ``parked_key``: events per second of the other keys with it ÷ those without."""
    module = "bench.parked_process"
    async with Child.running(module, POISONED) as poisoned, Child.running(module) as sound:
        rounds = [await _round(poisoned, sound) for _ in range(runs + 1)]
    return of_rounds("parked_key", rounds[1:], unit="events/s")


async def _round(poisoned: Child, sound: Child) -> tuple[Taken, Taken]:
    taken: dict[Child, list[Taken]] = {poisoned: [], sound: []}
    for turn in range(TURNS):
        for child in (poisoned, sound) if turn % 2 else (sound, poisoned):
            answer = await child.ask("turn")
            taken[child].append(
                Taken(int(answer["events"]), answer["seconds"], answer["cpu"]),
            )
    return _all_of(taken[poisoned]), _all_of(taken[sound])


def _all_of(turns: list[Taken]) -> Taken:
    return Taken(
        sum(turn.events for turn in turns),
        sum(turn.seconds for turn in turns),
        sum(turn.cpu for turn in turns),
    )
