"""A service one of whose events kills its process: run by a test until it is quarantined.

    python -m tests.order.poison BROKER STORE LEDGER TOPIC CRASHES

makes LEDGER, and what the broker needs, if it is not there; otherwise it appends the number of each
handled event to it, and ends well once all but the poisonous one are there and that one is in the
dead letters.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from choreo import Event, Service
from choreo.broker import Notice
from choreo.delivery.job import Job, Outcome, Received
from choreo.message import Message
from choreo.reason import Reason
from choreo.runner import started

EVENTS = 60
POISON = 23


class Watch:
    """Waits for the dead letter."""

    def __init__(self) -> None:
        self.quarantined = asyncio.Event()

    def received(self, received: Received, /) -> None: ...

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None: ...

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        if outcome is Outcome.DEAD_LETTERED and job.reason is Reason.CRASHED:
            self.quarantined.set()

    def settled(self, received: Received, /) -> None: ...

    def published(self, messages: Sequence[Message], /) -> None: ...

    def notice(self, notice: Notice, /) -> None: ...


class Item(Event):
    key: str
    number: int


def item(topic: str) -> type[Item]:
    """Declare the event under a topic of one test's own."""

    class RunItem(Item, topic=topic, key="key", name="poison.Item"):
        pass

    return RunItem


def service(broker: str, store: str, ledger: Path, topic: str, crashes: int) -> Service:
    """Make the service."""
    shop = Service(topic, broker=broker, store=store, create_topics=True, quarantine=crashes)

    @shop.on(item(topic), id="handle")
    async def handle(event: Item) -> None:
        if event.number == POISON:
            os._exit(9)
        with ledger.open("a", encoding="ascii") as file:
            file.write(f"{event.number}\n")
            file.flush()
            os.fsync(file.fileno())

    return shop


async def main(broker: str, store: str, ledger: str, topic: str, crashes: str) -> None:
    """Run until all is done; the first time, only until everything is there to begin with."""
    watch, file = Watch(), Path(ledger)
    async with started(service(broker, store, file, topic, int(crashes)), journals=[watch]):
        if begins(file):
            return
        await watch.quarantined.wait()
        while len(set(handled(file))) < EVENTS - 1:
            await asyncio.sleep(0.02)


def begins(ledger: Path) -> bool:
    """Make the ledger where there is none."""
    if ledger.exists():
        return False
    ledger.touch()
    return True


def handled(ledger: Path) -> list[int]:
    """List what was handled, in order."""
    return [int(line) for line in ledger.read_text(encoding="ascii").splitlines()]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
