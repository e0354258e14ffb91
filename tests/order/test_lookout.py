"""Who may give a number up waits until it is known what is at the broker."""

import asyncio

from choreo.broker import Notice
from choreo.delivery.lookout import GLANCE, Lookout
from choreo.delivery.sight import SHORT, START
from choreo.testing import ManualClock

LINE = b"line"
PATIENCE = 3.0


async def test_a_decision_waits_until_a_look_has_found_nothing_for_a_while() -> None:
    """The broker needs a moment to hand over what it has."""
    clock = ManualClock()
    lookout = Lookout(clock)
    waiting = asyncio.create_task(lookout.look())

    await clock.advance(60.0)
    without_room = waiting.done()
    lookout.looks()
    await clock.advance(SHORT / 2)
    at_once = waiting.done()
    await clock.advance(SHORT / 2 + GLANCE)

    assert (without_room, at_once, waiting.done()) == (False, False, True)


async def test_a_decision_goes_on_once_a_look_is_taken_in() -> None:
    clock = ManualClock()
    lookout = Lookout(clock)
    waiting = asyncio.create_task(lookout.look())
    await clock.advance(1.0)

    lookout.looks()
    lookout.takes()
    await clock.advance(60.0)
    on_its_way = waiting.done()
    lookout.asks()
    await clock.advance(0.0)

    assert (on_its_way, waiting.done()) == (False, True)


async def test_a_line_is_looked_at_again_until_patience_is_over_and_a_look_is_through() -> None:
    clock = ManualClock()
    lookout = Lookout(clock)
    lookout.looks()
    lookout.begins(LINE, PATIENCE)

    rests = [lookout.rest(LINE, PATIENCE)]
    await clock.advance(PATIENCE)
    lookout.takes()
    rests.append(lookout.rest(LINE, PATIENCE))
    lookout.asks()
    lookout.looks()
    rests.append(lookout.rest(LINE, PATIENCE))
    await clock.advance(SHORT)
    rests.append(lookout.rest(LINE, PATIENCE))

    assert rests == [PATIENCE, GLANCE, GLANCE, 0.0]


async def test_a_line_that_was_found_has_its_patience_but_no_more_than_a_start_takes() -> None:
    clock = ManualClock()
    lookout = Lookout(clock)
    lookout.looks()

    assert lookout.rest(LINE, PATIENCE) == PATIENCE
    assert lookout.rest(LINE, 10 * START) == START


async def test_a_line_is_looked_at_more_seldom_the_longer_the_broker_is_out_of_reach() -> None:
    """Each look at one is a write to the store."""
    clock = ManualClock()
    lookout = Lookout(clock)
    lookout.looks()
    lookout.begins(LINE, PATIENCE)
    await clock.advance(PATIENCE)
    lookout.notice(Notice(kind="connection_lost", text="gone"))

    rests: list[float] = []
    for seconds in (0.0, 4.0, 1000.0):
        await clock.advance(seconds)
        rests.append(lookout.rest(LINE, PATIENCE))
    lookout.notice(Notice(kind="reconnected", text="there again"))

    assert rests == [GLANCE, 4.0, START]
    assert lookout.rest(LINE, PATIENCE) == START
    await clock.advance(START)
    assert lookout.rest(LINE, PATIENCE) == 0.0
