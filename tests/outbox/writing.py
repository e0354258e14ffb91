"""A process that emits: several writers, transactions of several rows, some of them rolled back.

Usage: python -m tests.outbox.writing URL FILE NAME WRITERS TRANSACTIONS
Writes the ids of what it committed to FILE, one a line, each writer in its order.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from choreo.errors import StoreError
from choreo.store.opening import open_store
from choreo.store.outbox import Emission
from choreo.store.port import Claim, End, Ledger, Verdict
from tests.outbox.emitting import emission

LANES = 5
"""Lanes of each writer's own."""
SHARED = 3
"""Streams that all writers write to, numbered by the store."""
ROLLED_BACK = 0.03
LOSSES = 5
"""Most times that a transaction may go with another's; it is alone then, and not lost again."""


class RolledBackError(Exception):
    """The handler failed after it had written."""


class Writer:
    """Emits in transactions of its own, in its own lanes and in shared ones."""

    def __init__(self, ledger: Ledger[Any], name: str) -> None:
        self._ledger = ledger
        self._name = name
        self._random = Random(name)
        self._count = 0

    async def write(self, transactions: int) -> list[str]:
        """Return the ids of what was committed."""
        committed: list[str] = []
        for number in range(transactions):
            emissions = [self._emission() for _ in range(self._random.randint(1, 4))]
            try:
                await self._transact(number, emissions)
            except RolledBackError:
                continue
            committed += [one.identity for one in emissions]
        return committed

    def _emission(self) -> Emission:
        self._count += 1
        place = self._random.randrange(LANES + 1)
        if place < LANES:
            lane = f"{self._name}.{place}"
            return emission(f"{lane}/{self._count:06}", lane)
        stream = f"shared.{self._random.randrange(SHARED)}"
        return emission(f"{stream}/{self._name}.{self._count:06}", stream, stream)

    async def _transact(self, number: int, emissions: list[Emission]) -> None:
        key = (0, self._name, str(number))
        claim = Claim(key=key, fingerprint=b"f" * 16, at=datetime.now(UTC))
        pause, fails = self._random.random() * 0.004, self._random.random() < ROLLED_BACK
        for _ in range(LOSSES):
            try:
                async with self._ledger.effect(claim) as effect:
                    assert effect.verdict is Verdict.WRITTEN
                    # One row in its own call holds it open longer than its neighbours'.
                    await effect.complete(End(claim=claim, emitted=emissions))
                    await asyncio.sleep(pause)
                    if fails:
                        raise RolledBackError
            except StoreError:  # it went with that of another, which failed behind its end
                continue
            return
        raise AssertionError(f"{claim.key} was lost {LOSSES} times")


async def main(url: str, file: str, name: str, writers: str, transactions: str) -> None:
    """Have all writers write at once."""
    async with open_store(url) as store:
        ledger = await store.ledger("shop", ["charge"])
        everyone = [Writer(ledger, f"{name}{number}") for number in range(int(writers))]
        done = await asyncio.gather(*(one.write(int(transactions)) for one in everyone))
    text = "".join(f"{identity}\n" for part in done for identity in part)
    await asyncio.to_thread(Path(file).write_text, text)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
