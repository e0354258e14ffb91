"""A service in a process of its own, made to be killed: it writes what it does to a ledger.

    python -m tests.promises.program URL LEDGER SERVICE TOPIC LONGEST_MS

Every line of the ledger is one write: ``R`` when the service is ready, ``B`` when a handler begins,
``E`` when it has ended, ``Q`` after an orderly stop; then process, track, number and time.
"""

import asyncio
import os
import random
import signal
import sys
import time

from choreo import Event, Service
from choreo.runner import started


def step_on(topic_name: str) -> type[Event]:
    """Declare the event of one test run: topics differ, so that runs never meet."""

    class Step(Event, topic=topic_name, key="track", domain="promises"):
        track: str
        number: int

    return Step


def service_on(url: str, name: str, event: type[Event], ledger: int, longest: float) -> Service:
    """Build the service that takes its time and writes down what it does."""
    service = Service(name, broker=url, concurrency=40, prefetch=200, create_topics=True)
    dice = random.Random(os.getpid())

    def note(mark: str, step: Event) -> None:
        facts = step.model_dump()
        line = f"{mark} {os.getpid()} {facts['track']} {facts['number']} {time.time():.6f}\n"
        os.write(ledger, line.encode())

    async def walk(step: Event) -> None:
        note("B", step)
        await asyncio.sleep(dice.random() * longest)
        note("E", step)

    service.on(event)(walk)
    return service


async def main(url: str, ledger: str, name: str, topic: str, longest: str) -> None:
    """Run until told to stop."""
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    service = service_on(url, name, step_on(topic), file, float(longest) / 1000)
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with started(service) as running:
            os.write(file, f"R {os.getpid()} - 0 {time.time():.6f}\n".encode())
            await running.wait()
    except asyncio.CancelledError:
        os.write(file, f"Q {os.getpid()} - 0 {time.time():.6f}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
