"""A service on Kafka in a process of its own: ``-m bench.worker_process URL NAME``."""

import asyncio
import logging
import sys
from collections import Counter
from time import process_time

from bench.child import Numbers, answering
from bench.events import Load, Tally
from bench.measure import Stopwatch
from choreo import Service
from choreo.runner import started

WARM = "warm"
"""What the runs are called that only show which partitions are read by whom."""


async def main(url: str, name: str) -> None:
    """Answer ``warm-…`` with how many came of that run, and ``count`` with what was handled."""
    service = Service(name, broker=url, start="latest")
    warm: Counter[str] = Counter()
    tally, began = Tally(0), 0.0

    @service.on(Load)
    async def handle(load: Load) -> None:
        nonlocal began
        if load.run.startswith(WARM):
            warm[load.run] += 1
            return
        if not tally.count:
            Stopwatch().begin()
            began = process_time()
        tally.note(load)

    async def answer(question: str) -> Numbers:
        if question.startswith(WARM):
            return {"count": warm[question]}
        return {"count": tally.count, "cpu": process_time() - began if tally.count else 0.0}

    async with started(service):
        await answering(answer)


if __name__ == "__main__":
    logging.disable()  # a group that is joined by a second process is said to rebalance
    asyncio.run(main(*sys.argv[1:]))
