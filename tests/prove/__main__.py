"""Prove the promises on real brokers and databases, with processes that really die.

    python -m tests.prove [--minutes 15] [--seed N] [--only kafka|mqtt] [--keep FOLDER]
                          [--plant two-ends|no-end]

Kafka with PostgreSQL and Mosquitto with SQLite run side by side, two thirds of the events on the
former: most of the time is spent waiting for what was broken on purpose.  Ends with the checker's
code of the worst breach, with 20 if too little was seen, and with 21 if a run is void.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import SystemRandom
from tempfile import mkdtemp

from choreo.testing.checker import Code, check
from tests.local import AbsentError, StartError
from tests.local.warden import guarded
from tests.prove.run import Size, prepared
from tests.prove.saga import PLANTED
from tests.prove.scorecard import scorecard
from tests.prove.site import Site, kafka_and_postgresql, mosquitto_and_sqlite

EVENTS_A_MINUTE = 3_600
"""Of both sites together; 54,000 in a quarter of an hour."""
WHOLE = 15.0
"""Minutes from which on all that was planned must have been published."""
EVENTS = 3.2
"""Events that become of a request, itself included."""
SHARES = {"kafka": 0.66, "mqtt": 0.34}
FIXED = 75.0
"""Seconds that coming to rest, fresh processes and reading take."""
VOID = 21


def main() -> None:
    """Run what was asked for, and end with the worst code."""
    parser = argparse.ArgumentParser(prog="tests.prove", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=tuple(SHARES))
    parser.add_argument("--keep", type=Path, help="folder for histories and all violations")
    parser.add_argument("--plant", choices=PLANTED, default="", help="a mistake to be found")
    asked = parser.parse_args()
    guarded()
    folder = asked.keep or Path(mkdtemp(prefix="choreo-prove-"))
    for name in SHARES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    print(f"seed {asked.seed}, histories in {folder}", flush=True)
    names = [asked.only] if asked.only else list(SHARES)
    sizes = {name: size_of(name, asked.minutes, asked.seed, asked.plant) for name in names}
    codes = asyncio.run(all_proven(sizes, folder))
    wrong = [code for code in codes if code]
    if wrong:
        print(f"again: make prove MINUTES={asked.minutes:g} SEED={asked.seed}")
    sys.exit(min(wrong, default=0))


def size_of(name: str, minutes: float, seed: int, planted: str) -> Size:
    """Tell how much one site is to do."""
    seconds = 60 * minutes
    return Size(
        seed=seed,
        requests=int(EVENTS_A_MINUTE * minutes * SHARES[name] / EVENTS),
        deadline=time.monotonic() + seconds - FIXED,
        whole=minutes >= WHOLE,
        slot=min(15.0, max(4.0, seconds / 40)),
        planted=planted,
    )


async def all_proven(sizes: Mapping[str, Size], folder: Path) -> Sequence[int]:
    """Run sites side by side."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(proven(name, size, folder / name), name=name)
            for name, size in sizes.items()
        ]
    return [task.result() for task in tasks]


async def proven(name: str, size: Size, folder: Path) -> int:
    """Run one site, print its scorecard, and give the exit code."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"  {time.monotonic() - begun:6.1f} s  {name}: {text}", flush=True)

    try:
        async with opened(name, f"p{size.seed}", folder) as site:
            say(f"{site.name} is up; {size.requests} requests")
            async with prepared(site, size, folder, say) as run:
                outcome = await run.drive()
    except (AbsentError, StartError, RuntimeError, TimeoutError) as error:
        say(f"VOID {error!r}")  # a part is not here, or did not come up
        return VOID
    verdict = check(outcome.evidence, context=f"seed {size.seed}, {site.name}")
    verdict.write(folder / "violations.txt")
    for line in scorecard(outcome, verdict, time.monotonic() - begun):
        print(line)
    print(verdict, flush=True)
    return verdict.code or (VOID if outcome.problems else Code.CLEAN)


def opened(name: str, run: str, folder: Path) -> AbstractAsyncContextManager[Site]:
    """Start one of the sites."""
    return kafka_and_postgresql(run) if name == "kafka" else mosquitto_and_sqlite(run, folder)


if __name__ == "__main__":
    main()
