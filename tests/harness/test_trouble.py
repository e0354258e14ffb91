"""A world that makes trouble: services that do as they should do not show it."""

import pytest

from choreo import Context, Event, Service
from choreo.errors import ConfigurationError
from choreo.testing import Harness, ManualClock
from choreo.testing.trouble import Trouble

MANY = 30


class Placed(Event, topic="orders", key="customer"):
    customer: int
    number: int


class Paid(Event, topic="payments", key="customer"):
    customer: int
    number: int


class Booked(Event, topic="bookings", key="customer"):
    customer: int
    number: int


def placed() -> list[Placed]:
    return [Placed(customer=number % 5, number=number) for number in range(MANY)]


def shop(store: str | None) -> tuple[Service, Service, list[int]]:
    """Make two services, and a list of what the first one's handler was called for."""
    payments, ledger = Service("payments", store=store), Service("ledger", store=store)
    calls: list[int] = []

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        calls.append(order.number)
        return Paid(customer=order.customer, number=order.number)

    @ledger.on(Paid)
    async def book(paid: Paid, ctx: Context) -> Booked:
        return Booked(customer=paid.customer, number=paid.number)

    return payments, ledger, calls


async def ran(trouble: Trouble, store: str | None = None) -> tuple[Harness, list[int]]:
    payments, ledger, calls = shop(store)
    async with Harness(payments, ledger, trouble=trouble, clock=ManualClock()) as world:
        for order in placed():
            await world.publish(order)
        await world.settle()
        assert {event.number for event in world.published(Booked)} == set(range(MANY))
        return world, calls


async def test_copies_come_and_are_handled_once() -> None:
    world, calls = await ran(Trouble(duplicates=0.5))

    assert world.bites.duplicates > 10
    assert sorted(calls) == list(range(MANY))


async def test_even_a_small_share_bites_once() -> None:
    world, _ = await ran(Trouble(duplicates=1e-9))

    assert world.bites.duplicates == 1


async def test_a_service_that_dies_begins_again_and_loses_nothing() -> None:
    world, calls = await ran(Trouble(crash=2))

    assert world.bites.crashes == 4
    assert set(calls) == set(range(MANY))
    assert len(calls) > MANY


async def test_with_a_store_an_event_is_handled_once_over_deaths() -> None:
    trouble = Trouble(crash=2, seed=3, stages=["committed", "sent", "unsettled"])

    world, calls = await ran(trouble, store="memory://")

    assert world.bites.crashes == 4
    assert sorted(calls) == list(range(MANY))


async def test_messages_overtake_those_of_other_keys_and_none_of_their_own() -> None:
    desk = Service("desk")
    seen: list[int] = []

    @desk.on(Placed)
    async def open_all(order: Placed) -> list[Paid]:
        return [Paid(customer=number % 5, number=number) for number in range(MANY)]

    @desk.on(Paid)
    async def note(paid: Paid) -> None:
        seen.append(paid.number)

    trouble = Trouble(reorder=0.9, delay=0.001)
    async with Harness(desk, trouble=trouble, partitions=1) as world:
        await world.publish(Placed(customer=1, number=1))
        await world.settle()

    assert world.bites.overtakings > 5
    assert world.bites.delays >= 2
    assert seen != sorted(seen)
    for customer in range(5):
        own = [number for number in seen if number % 5 == customer]
        assert own == sorted(own)


@pytest.mark.parametrize("wrong", [{"duplicates": 2.0}, {"delay": 60.0}, {"crash": -1}])
def test_trouble_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Trouble(**wrong)  # type: ignore[arg-type] # wrong on purpose
