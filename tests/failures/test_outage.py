"""A dependency that is down is no reason to bury events: its handler rests, and resumes alone."""

from collections import Counter
from datetime import timedelta

from choreo import Event, Retry, Service
from choreo.testing import Harness, ManualClock

EVENTS = 5_000
DOWN = 60.0


class Booked(Event, topic="bookings", key="guest"):
    guest: str
    number: int


class Ledger:
    """A dependency that is down until its time comes."""

    def __init__(self, clock: ManualClock, until: float) -> None:
        self.clock = clock
        self.until = until
        self.calls = 0
        self.written: list[tuple[str, int]] = []

    def write(self, event: Booked) -> None:
        self.calls += 1
        if self.clock.monotonic() < self.until:
            raise ConnectionRefusedError
        self.written.append((event.guest, event.number))


async def test_a_minute_without_a_dependency_buries_nothing_and_all_is_handled_after_it_d11() -> (
    None
):
    clock = ManualClock()
    ledger = Ledger(clock, clock.monotonic() + DOWN)
    hotel = Service("hotel", retry=Retry(attempts=3))

    @hotel.on(Booked)
    async def book(event: Booked) -> None:
        ledger.write(event)

    async with Harness(hotel, clock=clock) as world:
        worker = world.running(hotel).worker
        assert worker is not None
        for start in range(0, EVENTS, 500):
            await hotel.publish_many(
                [Booked(guest=f"guest-{n % 100}", number=n) for n in range(start, start + 500)]
            )
            await world.advance(timedelta(seconds=5))
            assert worker.paused == [0]
        calls = ledger.calls
        await world.settle(timedelta(seconds=30))

        assert world.dead_letters == []
        assert worker.paused == []
        assert len(world.handled(book)) == EVENTS
    assert calls < 200  # probes grow apart instead of hammering what is down
    order: dict[str, list[int]] = {}
    for guest, number in ledger.written:
        order.setdefault(guest, []).append(number)
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert max(Counter(ledger.written).values()) == 1


async def test_one_poisoned_key_is_buried_as_ever() -> None:
    clock = ManualClock()
    hotel = Service("hotel", retry=Retry(attempts=3))

    @hotel.on(Booked)
    async def book(event: Booked) -> None:
        if event.guest == "nobody":
            raise LookupError(event.guest)

    async with Harness(hotel, clock=clock) as world:
        events = [Booked(guest=f"guest-{n % 100}", number=n) for n in range(1_000)]
        poison = [Booked(guest="nobody", number=n) for n in range(10)]
        await hotel.publish_many([*events, *poison])
        await world.settle()

        assert len(world.dead_letters) == 10
        assert len(world.handled(book)) == 1_000


async def test_a_handler_that_never_succeeds_again_gives_its_events_up_after_the_limit() -> None:
    clock = ManualClock()
    hotel = Service("hotel", retry=Retry(attempts=2))

    @hotel.on(Booked)
    async def book(_: Booked) -> None:
        raise ConnectionRefusedError

    async with Harness(hotel, clock=clock, outage_limit=timedelta(hours=1)) as world:
        await hotel.publish_many([Booked(guest=f"guest-{n}", number=n) for n in range(20)])
        await world.settle(timedelta(seconds=30))

        assert len(world.dead_letters) == 20
        assert clock.monotonic() > timedelta(hours=1).total_seconds()
