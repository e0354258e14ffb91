"""What a world tells about what happened in it."""

import pytest

from choreo import Event, Message, Service
from choreo.delivery.job import Outcome
from choreo.reason import Reason
from choreo.testing import Harness, ManualClock
from tests.harness.shop import Booked, Placed, Shop, Taken


async def test_published_lists_one_class_in_order_of_acceptance() -> None:
    async with Harness() as world:
        for order in (3, 1, 2):
            await world.publish(Placed(order=order))
        await world.publish(Taken(order=9))

        assert world.published(Placed) == [Placed(order=order) for order in (3, 1, 2)]


async def test_emitted_by_tells_one_handlers_events_apart_from_equal_ones() -> None:
    shop = Shop()

    async with Harness(shop.payments, shop.books) as world:
        await world.publish(Placed(order=1))
        await world.publish(Taken(order=7))
        await world.settle()

        assert world.emitted_by(shop.charge) == [Taken(order=1)]
        assert world.published(Taken) == [Taken(order=7), Taken(order=1)]


async def test_handled_lists_only_what_succeeded() -> None:
    shop = Shop()

    async with Harness(shop.payments) as world:
        await world.publish(Placed(order=-1))
        await world.publish(Placed(order=1))
        await world.settle()

        assert world.handled(shop.charge) == [Placed(order=1)]
        assert world.outcomes(shop.charge) == {Outcome.HANDLED: 1, Outcome.DEAD_LETTERED: 1}


async def test_a_dead_letter_tells_its_reason_and_its_handler() -> None:
    shop = Shop()

    async with Harness(shop.payments) as world:
        await world.publish(Placed(order=-1))
        await world.settle()

        (letter,) = world.dead_letters
        assert (letter.reason, letter.service, letter.handler, letter.error) == (
            Reason.REJECTED,
            "payments",
            "charge",
            "no such order",
        )
        assert world.published(Placed) == [Placed(order=-1)]


async def test_every_failed_attempt_is_kept_with_its_exception() -> None:
    shop = Shop()

    async with Harness(shop.payments, clock=ManualClock()) as world:
        identity = await world.publish(Placed(order=1, fail=9))
        await world.settle()

        assert [(failure.attempt, str(failure.error)) for failure in world.failures] == [
            (number, f"attempt {number}") for number in range(1, 5)
        ]
        assert all(isinstance(failure.error, ConnectionError) for failure in world.failures)
        assert {failure.event_id for failure in world.failures} == {identity}
        assert world.failures[-1].delay is None


async def test_bytes_that_are_no_event_can_be_sent_and_are_dead_lettered() -> None:
    shop = Shop()

    async with Harness(shop.payments) as world:
        await world.send(Message("orders", b"\xff not json"), Message("orders", None))
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.FOREIGN] * 2
        assert world.published(Placed) == []


async def test_a_trail_tells_who_caused_what_and_what_came_of_it() -> None:
    shop = Shop()

    async with Harness(shop.payments, shop.books) as world:
        root = await world.publish(Placed(order=1))
        await world.publish(Placed(order=2))
        await world.settle()
        trail = world.trail(root)

    placed, taken, booked = trail
    assert [event.type for event in trail] == ["Placed.v1", "Taken.v1", "Booked.v1"]
    assert (placed.causation_id, taken.causation_id, booked.causation_id) == (
        None,
        placed.id,
        taken.id,
    )
    assert {event.correlation_id for event in trail} == {root}
    assert [str(reaction.outcome) for reaction in taken.reactions] == ["handled"]
    assert str(trail).splitlines() == [
        f"Placed.v1 {root} from harness",
        "│  payments.charge: handled",
        f"└─ Taken.v1 {taken.id} from payments",
        "   │  books.book: handled",
        f"   └─ Booked.v1 {booked.id} from books",
    ]


async def test_a_trail_is_found_by_any_event_of_its_conversation() -> None:
    shop = Shop()

    async with Harness(shop.payments, shop.books) as world:
        root = await world.publish(Placed(order=1))
        await world.settle()
        trail = world.trail(root)

        assert world.trail(Booked(order=1)) == trail
        assert all(world.trail(event.id) == trail for event in trail)
        with pytest.raises(LookupError):
            world.trail("no such id")
        with pytest.raises(LookupError):
            world.trail(Booked(order=77))


async def test_an_unknown_handler_is_refused_rather_than_found_idle() -> None:
    async with Harness(Shop().payments) as world:
        with pytest.raises(LookupError, match="no handler of a service in this world"):
            world.handled(Shop().charge)


async def test_two_worlds_of_the_same_services_do_not_meet() -> None:
    shop = Shop()
    for order in (1, 2):
        async with Harness(shop.payments, shop.books) as world:
            await world.publish(Placed(order=order))
            await world.settle()

            assert world.published(Taken) == [Taken(order=order)]


async def test_a_namespace_keeps_worlds_on_one_broker_apart() -> None:
    one, two = Shop(), Shop()
    broker = "memory://shared-by-two-worlds"

    async with (
        Harness(one.payments, broker=broker, namespace="one") as first,
        Harness(two.payments, broker=broker, namespace="two") as second,
    ):
        await first.publish(Placed(order=1))
        await second.publish(Placed(order=2))
        await second.send(Message("orders", b"{}", b"key"))
        await first.settle()
        await second.settle()

        assert one.attempts == {1: 1}
        assert two.attempts == {2: 1}
        assert first.dead_letters == []
        assert [letter.topic for letter in second.dead_letters] == ["orders"]


async def test_an_event_that_is_kept_where_brokers_can_is_an_event_elsewhere() -> None:
    class Measured(Event, topic="climate", key="room", retain=True):
        room: int

    climate = Service("climate")
    seen: list[int] = []

    @climate.on(Measured)
    async def note(measured: Measured) -> None:
        seen.append(measured.room)

    async with Harness(climate) as world:
        await world.publish(Measured(room=1))
        await world.settle()

    assert seen == [1]
