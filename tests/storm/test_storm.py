"""Random storms over whole services; a seed that fails is printed.

``CHOREO_STORM_SEED=17`` replays one;``CHOREO_STORM_SEEDS=20000`` runs more of them.
"""

import asyncio
import gc
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from choreo import Service
from choreo.dead_letter import original
from choreo.environment import Environment
from choreo.ids import derived
from choreo.message import Header
from choreo.runner import Running, started
from choreo.testing.clock import rest
from tests.storm.world import HANDLERS, World

BATCH = 10
STEPS = 70
ONE = os.environ.get("CHOREO_STORM_SEED")
SEEDS = [int(ONE)] if ONE else list(range(int(os.environ.get("CHOREO_STORM_SEEDS", "200"))))
BATCHES = [SEEDS[first : first + BATCH] for first in range(0, len(SEEDS), BATCH)]
EXPECTED = (
    "handled",
    "filtered",
    "duplicate",
    "dead_lettered",
    "dropped",
    "revoked",
    "HandlerTimeout",
    "SystemExit",
    "CancelledError",
    "Reject",
)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seeds", BATCHES, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
async def test_a_storm_loses_nothing_and_keeps_every_key_in_order(
    seeds: list[int],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where no contracts are, to be read at every start
    if not ONE:  # thousands of warnings that nobody reads would take most of the time
        caplog.set_level(logging.CRITICAL, logger="choreo")
    seen: Counter[str] = Counter()

    for seed in seeds:
        try:
            seen += await storm(seed)
        except BaseException as error:
            error.add_note(f"replay it: CHOREO_STORM_SEED={seed} pytest tests/storm/test_storm.py")
            raise

    gc.collect()  # whatever was destroyed unseen is a warning, and so an error
    assert ONE or [kind for kind in EXPECTED if not seen[kind]] == []


async def storm(seed: int) -> Counter[str]:
    """Go through one storm, heal, and hold the accounts against what must be."""
    before = asyncio.all_tasks()
    unhandled: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(str(context)))
    world = World(seed)
    source = Service("source", broker=world.url)
    async with (
        world.keep,
        started(source, environment=Environment(clock=world.clock)) as running,
    ):
        for name in world.accounts:
            world.join(name)
        await rest()
        for _ in range(STEPS):
            await step(world, running)
        await world.heal()
        check_rest(world)
        await world.close()
        await check_accounts(world)
    await rest()

    assert unhandled == []
    assert asyncio.all_tasks() == before
    return sum((account.tally for account in world.accounts.values()), Counter[str]())


async def step(world: World, source: Running) -> None:
    random = world.random
    name = random.choice(("shop", "shop", "desk"))
    match random.choices(range(8), weights=(20, 6, 5, 4, 3, 5, 30, 20))[0]:
        case 0:
            await world.publish(source)
        case 1:
            await world.repeat(source)
        case 2:
            world.join(name)
        case 3:
            world.leave(name)
        case 4:
            world.crash(name)
        case 5:
            shift(world, random)
        case 6:
            await world.clock.advance(random.choice((0.01, 0.1, 0.3, 1.0)))
        case _:
            for _ in range(random.randrange(1, 12)):
                await asyncio.sleep(0)


def shift(world: World, random: Random) -> None:
    """Shut a topic, or open it again."""
    topic = random.choice(("answered", "choreo.dlq.shop", "choreo.dlq.desk"))
    if topic in world.gate.shut:
        del world.gate.shut[topic]
    else:
        world.gate.shut[topic] = random.choice(("refused", "unknown"))


def check_rest(world: World) -> None:
    """Nothing is held, nothing waits, nothing runs, in any member that is left."""
    for member in world.members:
        worker = member.running.worker if member.running else None
        if worker is not None and not member.life.over:
            assert (worker.held, worker.busy, worker.lanes, len(worker.waiting)) == (0, 0, 0, 0)
            assert not worker._inbox._open
            assert not worker._lanes.ready
            assert not worker._slots.zombies


async def check_accounts(world: World) -> None:
    """Each event came to each handler or into its dead letters, once accepted, in order."""
    shop, desk = world.accounts["shop"], world.accounts["desk"]
    answers: dict[str, None] = {}
    for message in await world.topic("answered"):
        answers.setdefault(identity(message.headers))
    shop.check(shop.wants)
    # What was buried may be published again, and then be answered after what followed it.
    buried = {answer(*share) for share in shop.buried if share[0] in HANDLERS}
    desk.check_order([("first", name) for name in answers if name not in buried])
    desk.reorder(answers)
    desk.check(answers)
    for name, account in world.accounts.items():
        letters = {
            identity(original(letter).headers) for letter in await world.topic(f"choreo.dlq.{name}")
        }
        assert {event for _, event in account.buried} <= letters
    finished = {share for _, share in shop.finished if share[0] in HANDLERS}
    assert {answer(*share) for share in finished} <= set(answers)
    assert set(answers) <= {answer(*share) for share in shop.handled if share[0] in HANDLERS}


def answer(handler: str, cause: str) -> str:
    return derived("urn:choreo:shop", "urn:choreo:source", cause, handler, 0)


def identity(headers: Sequence[Header]) -> str:
    return (dict(headers)["ce_id"] or b"").decode()
