"""Several processes on one database, one of which is killed: every effect happens once."""

import asyncio
import signal
import subprocess
import sys

import pytest
from sqlalchemy import text

from choreo_sql import SqlStore
from tests.store.setups import make_effects

COUNT = 80
WORKER = """
import asyncio, random, sys
from sqlalchemy import text
from choreo.store.port import End, Verdict
from choreo_sql import SqlStore
from tests.store.handling import claim

async def main(url, seed):
    names = [f"{number:03}" for number in range(int(sys.argv[3]))]
    random.Random(seed).shuffle(names)
    insert = text("INSERT INTO effects VALUES (:row)")
    async with SqlStore(url) as store:
        ledger = await store.ledger("shop", ["charge"])
        turns = asyncio.Semaphore(8)

        async def one(name):
            async with turns, ledger.effect(claim(name)) as effect:
                if effect.verdict is Verdict.WRITTEN:
                    await effect.transaction.connection.execute(insert, {"row": name})
                    await effect.complete(End(claim=claim(name)))
                    print(name, flush=True)

        await asyncio.gather(*map(one, names))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def start(url: str, seed: int) -> "subprocess.Popen[str]":
    """Start a process that handles every event, in an order of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, str(seed), str(COUNT)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_processes_that_share_a_database_have_every_effect_once(url: str) -> None:
    """Traps I1, I2 and O13."""
    await make_effects(url)
    workers = [start(url, seed) for seed in range(3)]
    victim, *others = workers
    try:
        assert victim.stdout is not None
        for _ in range(5):
            await asyncio.to_thread(victim.stdout.readline)
        victim.send_signal(signal.SIGKILL)
        codes = [await asyncio.to_thread(each.wait, 60) for each in others]
    finally:
        for each in workers:
            each.kill()
            each.communicate()

    assert codes == [0, 0]
    async with SqlStore(url) as store, store.connections.reading() as connection:
        rows = await connection.execute(text("SELECT row FROM effects ORDER BY row"))
        written = [row.row for row in rows]
    assert written == [f"{number:03}" for number in range(COUNT)]
