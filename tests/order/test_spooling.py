"""Gaps that last: what is behind them waits in the store, and is done for the broker."""

from dataclasses import replace
from random import Random

import pytest

from choreo import Service
from choreo.broker import Binding
from choreo.cloudevents import EnvelopeWriter
from choreo.gaps import Gaps, Policy
from choreo.park import Park
from choreo.reason import Reason
from choreo.resend import ResendRequested
from choreo.testing import ManualClock
from tests.order.events import Reading, envelope
from tests.order.plant import SECOND, ForgetfulWorld, Plant, send

PATIENT = Gaps(policy="skip", patience=60 * SECOND)


async def test_a_gap_that_lasts_holds_nothing_at_the_broker() -> None:
    """R2, M5: the window of the connection stays open, however long the gap does."""
    plant = Plant(PATIENT)

    async with plant.life() as world:
        await send(world, 1, 3, 5, 4)
        await world.advance(SECOND)
        assert plant.held(world) == 0
        (line,) = await plant.waiting()
        assert (line.events, line.numbered, line.handler) == (3, True, "read")
        assert line.note == "waits for 2 to 2 of stream 'a' of urn:choreo:harness"

        await send(world, 6, 2)
        await world.advance(SECOND)

        assert not world.dead_letters
        assert plant.held(world) == 0
    assert plant.seen == [1, 2, 3, 4, 5, 6]
    assert await plant.waiting() == []


async def test_what_comes_in_the_wrong_order_for_a_moment_costs_no_transaction() -> None:
    plant = Plant(PATIENT)

    async with plant.life() as world:
        await send(world, 3, 2)
        await world.advance(SECOND / 10)
        assert await plant.waiting() == []
        assert plant.held(world) == 2
        await send(world, 1)
        await world.settle()

    assert plant.seen == [1, 2, 3]


async def test_streams_do_not_wait_for_each_other_in_the_store() -> None:
    plant = Plant(PATIENT)

    async with plant.life() as world:
        await send(world, 2, 3, sensor="a")
        await send(world, 2, 3, sensor="b")
        await world.advance(SECOND)
        await send(world, 1, sensor="b")
        await world.advance(SECOND)
        assert plant.seen == [1, 2, 3]
        assert [line.key for line in await plant.waiting()] == [b"a"]


@pytest.mark.parametrize("policy", ["skip", "wait", "park", "resend"])
async def test_after_a_restart_what_waits_is_found_and_let_out_when_the_gap_fills(
    policy: Policy,
) -> None:
    """R2, R3: neither the gap nor what is behind it is lost with the process."""
    plant = Plant(Gaps(policy=policy, patience=60 * SECOND))
    async with plant.life() as world:
        await send(world, 1, 2, 5, 4)
        await world.advance(SECOND)
    assert plant.seen == [1, 2]

    async with plant.life() as world:
        await world.advance(SECOND)
        await send(world, 6)
        await world.advance(SECOND)
        assert plant.seen == [1, 2]
        await send(world, 3)
        await world.advance(SECOND)

    assert plant.seen == [1, 2, 3, 4, 5, 6]
    assert await plant.waiting() == []


async def test_patience_goes_on_over_a_restart_and_then_the_gap_is_skipped() -> None:
    """R1: the moment is in the store."""
    plant = Plant(PATIENT)
    async with plant.life() as world:
        await send(world, 1, 4, 7)
        await world.advance(30 * SECOND)

    async with plant.life() as world:
        await world.advance(29 * SECOND)
        assert plant.seen == [1]
        await world.advance(2 * SECOND)
        assert plant.seen == [1, 4]
        await world.advance(58 * SECOND)
        assert plant.seen == [1, 4]
        await world.advance(3 * SECOND)
        assert plant.seen == [1, 4, 7]
        await send(world, 3)
        await world.settle()
        assert [letter.reason for letter in world.dead_letters] == [Reason.SEQUENCE_LATE]


async def test_a_source_is_asked_for_what_the_store_waits_for() -> None:
    plant = Plant(Gaps(policy="resend", patience=10 * SECOND))

    async with plant.life() as world:
        await send(world, 1, 4)
        await world.advance(11 * SECOND)
        (request,) = world.published(ResendRequested)
        assert (request.first, request.last) == (2, 3)
        await world.advance(25 * SECOND)
        assert len(world.published(ResendRequested)) == 3
        assert plant.seen == [1]
        await world.advance(10 * SECOND)

    assert plant.seen == [1, 4]


async def test_a_producer_that_starts_again_ends_the_wait_for_its_past() -> None:
    """R4: the numbers of an epoch that is over do not come any more."""
    plant = Plant(Gaps(policy="wait", patience=10 * SECOND))
    writer = EnvelopeWriter(Binding.KAFKA)

    async with plant.life() as world:
        for number, epoch in (("1", "1"), ("3", "1")):
            await world.send(writer.write(envelope(number, epoch=epoch), "plain", None))
        await world.advance(SECOND)
        for number, epoch in (("2", "2"), ("1", "2")):
            await world.send(writer.write(envelope(number, epoch=epoch), "plain", None))
        await world.advance(SECOND)
        assert plant.seen == [1]
        await world.advance(11 * SECOND)
        await world.settle()

    assert plant.seen == [1, 3, 1, 2]


async def test_what_fails_when_its_number_has_come_waits_with_its_key() -> None:
    """R10: it goes from one line to the other, and those behind it follow."""
    park = Park(initial=10 * SECOND, jitter=0)
    plant = Plant(PATIENT, park=park)
    plant.broken = {2}

    async with plant.life() as world:
        await send(world, 2, 3, 4)
        await world.advance(SECOND)
        await send(world, 1)
        await world.advance(SECOND)
        assert plant.seen == [1]
        assert [(line.numbered, line.events) for line in await plant.waiting()] == [(False, 3)]
        plant.broken = set()
        await world.advance(11 * SECOND)
        await send(world, 5)
        await world.settle()

        assert not world.dead_letters
    assert plant.seen == [1, 2, 3, 4, 5]


async def test_what_is_dead_lettered_on_its_way_back_does_not_hold_its_stream() -> None:
    """R10."""
    plant = Plant(PATIENT)
    plant.broken = {3}

    async with plant.life() as world:
        await send(world, 2, 3, 4)
        await world.advance(SECOND)
        await send(world, 1)
        await world.advance(SECOND)

        assert [letter.reason for letter in world.dead_letters] == [Reason.HANDLER_ERROR]
    assert plant.seen == [1, 2, 4]


async def test_a_copy_of_what_waits_in_the_store_is_handled_once() -> None:
    plant = Plant(PATIENT)

    async with plant.life() as world:
        await send(world, 2, 3)
        await world.advance(SECOND)
        copies = [message for message in world.messages if message.topic == "readings"]
        await world.send(*copies)
        await world.advance(SECOND)
        assert [line.events for line in await plant.waiting()] == [2]
        await send(world, 1)
        await world.send(*copies)
        await world.advance(SECOND)
        await world.settle()

        assert not world.dead_letters
    assert plant.seen == [1, 2, 3]


async def test_another_payload_under_an_id_that_waits_is_dead_lettered() -> None:
    """I10: also as the first of a line, and as one that joins it."""
    plant = Plant(PATIENT)

    async with plant.life() as world:
        await send(world, 2)
        await world.advance(SECOND)
        (first,) = [message for message in world.messages if message.topic == "readings"]
        for number in (b"3", b"4"):
            body = (first.body or b"").replace(b'"number":2', b'"number":' + number)
            await world.send(replace(first, body=body))
            await world.advance(SECOND)
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.ID_CONFLICT] * 2
        await send(world, 1)
        await world.advance(SECOND)
    assert plant.seen == [1, 2]


@pytest.mark.parametrize("seed", range(5))
async def test_any_order_over_any_restarts_is_put_right(seed: int) -> None:
    random = Random(seed)
    plant = Plant(Gaps(policy="wait"), remembers=bool(seed % 2))
    numbers = list(range(1, 61))
    random.shuffle(numbers)

    for begin in range(0, 60, 12):
        async with plant.life() as world:
            for number in numbers[begin : begin + 12]:
                await send(world, number)
                await world.advance(random.choice([0, 0, 1]) * SECOND)
            await world.advance(SECOND)
            assert not world.dead_letters
    async with plant.life() as world:
        await world.advance(SECOND)

    assert plant.seen == list(range(1, 61))


async def test_without_a_store_what_is_held_back_stays_with_the_broker() -> None:
    plant = Service("plant")
    seen: list[int] = []

    @plant.on(Reading, gaps=Gaps(policy="wait"))
    async def read(event: Reading) -> None:
        seen.append(event.number)

    async with ForgetfulWorld(plant, clock=ManualClock()) as world:
        await send(world, 2, 3)
        await world.advance(60 * SECOND)
        worker = world.running(plant).worker
        assert worker is not None
        assert worker.held == 2
        await send(world, 1)
        await world.settle()

    assert seen == [1, 2, 3]
