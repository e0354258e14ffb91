"""A process renews no lease of an event that it has given up."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from choreo import Event, Service
from choreo.delivery.job import Job, Outcome
from choreo.delivery.journal import Journals
from choreo.runner import Running, started
from choreo_memory import MemoryBroker
from tests.patience import patient

GUESTS = 8
"""Enough that each of process has some."""
LEASE = timedelta(seconds=1)


class Dropped(Journals):
    """Counts what a process has given up."""

    count = 0

    def ended(self, _: Job, outcome: Outcome, /) -> None:
        self.count += outcome is Outcome.DROPPED


async def test_what_moves_on_while_the_store_is_away_is_handled_where_it_went_to_i4(
    tmp_path: Path, fresh_name: Callable[[str], str]
) -> None:
    name, file = fresh_name("moves"), tmp_path / "moves.db"
    begun, done = Counter[str](), Counter[str]()
    go_on = asyncio.Event()

    class Invited(Event, topic=f"{name}-invitations", key="guest"):
        guest: str

    def hotel() -> Service:
        url = f"sqlite:///{file}?timeout=0.2"
        made = Service(name, broker=f"memory://{name}", store=url, create_topics=True)

        @made.on(Invited, lease=LEASE)
        async def invite(event: Invited) -> None:
            begun[event.guest] += 1
            await go_on.wait()
            done[event.guest] += 1

        return made

    dropped = Dropped(())
    async with MemoryBroker(f"memory://{name}"), started(hotel(), journals=[dropped]) as first:
        await first.publish([Invited(guest=f"guest-{number}") for number in range(GUESTS)])
        await until(lambda: len(begun) == GUESTS)
        async with started(hotel()) as second:
            with locked(file):
                go_on.set()
                await until(lambda: dropped.count)
            await until(lambda: idle(first) and idle(second) and done.total() > GUESTS)

    assert done == begun
    assert done.total() == GUESTS + dropped.count


@contextmanager
def locked(file: Path) -> Generator[None]:
    """Let nobody write to the database."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def idle(running: Running) -> bool:
    """Say whether a service has nothing left to do."""
    return running.worker is not None and not running.worker.held


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patient(8)):
        while not condition():
            await asyncio.sleep(0.01)
