"""A service that is killed while numbers are missing: run by a test until all were handled.

    python -m tests.order.gapped BROKER STORE LEDGER TOPIC

appends the number of each handled event to LEDGER, and ends well once all are there.
"""

import asyncio
import os
import sys
from pathlib import Path

from choreo import Event, Gaps, Service
from choreo.runner import started

EVENTS = 40


class Step(Event):
    key: str
    number: int


def step(topic: str) -> type[Step]:
    """Declare the event under a topic of one test's own."""

    class RunStep(Step, topic=topic, key="key", sequence="number", name="gapped.Step"):
        pass

    return RunStep


def service(broker: str, store: str, ledger: Path, topic: str) -> Service:
    """Make the service."""
    plant = Service(topic, broker=broker, store=store, create_topics=True, quarantine=0)

    @plant.on(step(topic), id="handle", gaps=Gaps(policy="wait"))
    async def handle(event: Step) -> None:
        with ledger.open("a", encoding="ascii") as file:
            file.write(f"{event.number}\n")
            file.flush()
            os.fsync(file.fileno())

    return plant


async def main(broker: str, store: str, ledger: str, topic: str) -> None:
    """Run until all is done; the first time, only until the broker knows the subscription."""
    file = Path(ledger)
    async with started(service(broker, store, file, topic)):
        if begins(file):
            return
        while len(set(handled(file))) < EVENTS:
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
