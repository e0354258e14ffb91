"""The desk is killed with -9 at each of its own steps, over real brokers and databases."""

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from choreo.failpoints import DESK_POINTS
from tests.crash.conftest import Ground
from tests.crash.desks import refused, work
from tests.crash.program import ANY
from tests.crash.world import UNTROUBLED, World, disorder

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(240)]

KEYS, EACH = ("a", "b", "c"), 5
LETTERS = len(KEYS) * EACH
ALL_REFUSED: dict[str, Any] = {**UNTROUBLED, "refused": ANY, "keys": KEYS, "each": EACH}
ONE_REFUSED: dict[str, Any] = {**UNTROUBLED, "refused": "a/1"}
TWO_KEYS: dict[str, Any] = {**UNTROUBLED, "refused": ANY}
CORRECTING = ("desk_sending", "desk_sent", "desk_noting")
SENDING = ("desk_sending", "desk_sent", "desk_noting", "desk_noted")
KILLS = ("desk_sending:1", "desk_sent:1", "desk_sending:2", "desk_sent:2")
"""Of five waves: none was sent, the first, the second, the third and the fourth."""


def test_each_step_of_a_desk_is_one_at_which_it_is_killed_here() -> None:
    assert {at.partition(":")[0] for at in (*KILLS, *SENDING)} == DESK_POINTS


@pytest.mark.parametrize("served", ["meanwhile", "afterwards"])
async def test_letters_are_handled_once_and_in_order_though_the_desk_is_killed_at_each_step(
    ground: Ground, served: str
) -> None:
    world = await ground.world("desk", handlers=("charge",), **ALL_REFUSED)
    ledger = await world.start("ledger")
    await ledger.until_ready(40)
    await refused(world, ground, LETTERS)
    world.plan = replace(world.plan, refused="")
    planned = await work(world, "replay", "--dry-run")
    child = await world.start("payments") if served == "meanwhile" else None

    killed = [(await work(world, "replay", "--yes", failpoint=at)).status for at in KILLS]
    two = await asyncio.gather(*(work(world, "replay", "--yes", "--again") for _ in range(2)))
    child = child or await world.start("payments")
    await world.until_done(60)
    states = (await work(world, "list", "--all")).last["states"]
    stopped = [await child.stop(), await ledger.stop()]

    assert sum(one["count"] for one in planned.told) == LETTERS
    assert killed == [-signal.SIGKILL] * len(KILLS)
    assert [(one.last["replayed"], one.last["kept"]) for one in two] == [(LETTERS, 0)] * 2
    assert (states, stopped) == ({"replayed": LETTERS}, [0, 0])
    assert await twice_or_out_of_order(world) == []


@pytest.mark.parametrize("pair", ["kafka-postgresql", "mqtt-sqlite"], indirect=True)
async def test_a_correction_is_one_event_and_is_recorded_though_the_desk_is_killed_over_it(
    ground: Ground, tmp_path: Path
) -> None:
    world = await ground.world("desk", keys=["a"], each=3, handlers=("charge",), **ONE_REFUSED)
    ledger = await world.start("ledger")
    await ledger.until_ready(40)
    await refused(world, ground, 1, others=2)
    (tmp_path / "payload.json").write_text('{"key": "a", "number": 7}')
    child = await world.start("payments")
    (case,) = (await work(world, "show")).told
    edit = ("edit", case["letter"]["id"], "--yes", "--data", str(tmp_path / "payload.json"))

    killed = [(await work(world, *edit, failpoint=at)).status for at in CORRECTING]
    edited = await work(world, *edit)
    await world.until_effects("ledger", 3, 40)
    states = (await work(world, "list", "--all")).last["states"]
    stopped = [await child.stop(), await ledger.stop()]

    assert killed == [-signal.SIGKILL] * len(CORRECTING)
    assert (edited.last["outcome"], states, stopped) == ("edited", {"edited": 1}, [0, 0])
    assert sorted(one.number for one in await world.effects("payments")) == [0, 2, 7]
    assert sorted(one.number for one in await world.effects("ledger")) == [0, 2, 7]


@pytest.mark.parametrize("pair", ["kafka-sqlite", "mqtt-sqlite"], indirect=True)
async def test_what_is_given_up_or_sent_elsewhere_is_so_after_a_second_run_of_a_killed_desk(
    ground: Ground,
) -> None:
    world = await ground.world("desk", keys=["a", "b"], each=2, handlers=("charge",), **TWO_KEYS)
    await refused(world, ground, 4)
    drop = ("drop", "--yes", "--because", "a test", "--key", "a")
    send = ("replay", "--yes", "--to", f"{world.plan.run}-taken")

    dropping = [await work(world, *drop, failpoint=at) for at in ("desk_noting", "desk_noted")]
    dropped = await work(world, *drop, "--all")
    sending = [await work(world, *send, failpoint=at) for at in SENDING]
    sent = await work(world, *send)
    states = Counter(case["state"] for case in (await work(world, "show", "--all")).told)

    assert {one.status for one in (*dropping, *sending)} == {-signal.SIGKILL}
    assert (dropped.last["dropped"], sent.last["sent"]) == (2, 1)
    assert (states["sent"], states["open"]) == (2, 0)


async def twice_or_out_of_order(world: World) -> Sequence[object]:
    """Say which effects and emitted events are more than one, and which lanes lost their order."""
    found: list[object] = []
    for role in ("payments", "ledger"):
        effects = await world.effects(role)
        times = Counter((one.handler, one.key, one.number) for one in effects)
        found += [(role, one) for one, number in times.items() if number > 1]
        found += [(role, lane) for lane in disorder(effects)]
    return found
