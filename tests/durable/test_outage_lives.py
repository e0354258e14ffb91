"""An outage that a service lives through several times buries nothing that has attempts left."""

import asyncio
from collections.abc import Callable
from functools import partial

from choreo import Event, Retry, Service
from choreo.broker import open_broker
from choreo.desk.desk import Desk
from choreo.desk.place import of_service
from choreo.runner import Running, started
from tests.durable.conftest import Effects
from tests.patience import patient

EVENTS = 20
LIVES = 5
"""More than there are attempts: one that counted in each would use them up."""
RETRY = Retry(attempts=3)


class Bank:
    """A dependency, and what has got through to it."""

    def __init__(self) -> None:
        self.away = True
        self.booked: set[int] = set()

    def book(self, number: int) -> None:
        if self.away:
            raise ConnectionRefusedError
        self.booked.add(number)


async def test_no_number_of_restarts_in_an_outage_uses_up_an_attempt_d11(
    url: str, effects: Effects, fresh_name: Callable[[str], str]
) -> None:
    name, bank = fresh_name("lives"), Bank()

    class Booked(Event, topic=f"{name}-bookings", key="guest"):
        guest: str
        number: int

    def hotel() -> Service:
        made = Service(name, broker=f"memory://{name}", store=url, create_topics=True, retry=RETRY)

        @made.on(Booked)
        async def book(event: Booked) -> None:
            bank.book(event.number)

        return made

    async with open_broker(f"memory://{name}") as broker:
        for life in range(LIVES):
            async with started(hotel()) as running:
                if not life:
                    await running.publish(
                        [Booked(guest=f"guest-{n}", number=n) for n in range(EVENTS)]
                    )
                await until(partial(rests, running))
        bank.away = False
        async with started(hotel()):
            await until(lambda: len(bank.booked) == EVENTS)
            letters = await Desk(broker, of_service(name, broker.capabilities)).survey()

    assert letters == []


def rests(running: Running) -> bool:
    """Say whether the service takes its dependency for away."""
    return running.worker is not None and bool(running.worker.paused)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patient(8)):
        while not condition():
            await asyncio.sleep(0.01)
