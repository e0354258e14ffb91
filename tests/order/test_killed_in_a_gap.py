"""Processes are killed while events wait for their number: nothing is lost, and the order stays."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random

import pytest

from choreo import Service
from choreo.runner import Running, started
from choreo.store.lot import Attended
from choreo.store.opening import open_store
from tests.local.parts import MqttPart
from tests.order.gapped import EVENTS, handled, step
from tests.patience import patient

ROOT = Path(__file__).parents[2]


class Lives:
    """The lives of one service, on files and names of one test's own."""

    def __init__(self, broker: str, topic: str, folder: Path) -> None:
        self.ledger = folder / "ledger"
        self._kind = step(topic)
        self._store, self._topic, self._broker = f"sqlite:///{folder}/books.db", topic, broker

    async def life(self, failpoint: str = "") -> int:
        """Run the program once; return its exit code."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.order.gapped"),
            *(self._broker, self._store, str(self.ledger), self._topic),
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "CHOREO_FAILPOINT": failpoint},
        )
        try:
            async with asyncio.timeout(patient(60)):
                return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def source(self) -> AbstractAsyncContextManager[Running]:
        """Start what publishes."""
        return started(Service(f"{self._topic}-source", broker=self._broker))

    async def spooled(self) -> int:
        """Count what waits in the store."""
        async with open_store(self._store) as store:
            assert isinstance(store, Attended)
            return sum(line.events for line in await (await store.lot(self._topic)).lines(10))

    async def send(self, source: Running, numbers: list[int]) -> None:
        """Publish numbers in the order given."""
        await source.publish([self._kind(key="a", number=number) for number in numbers])


def shuffled(seed: str) -> list[int]:
    """Give all numbers but the first, in any order."""
    numbers = list(range(2, EVENTS + 1))
    Random(seed).shuffle(numbers)
    return numbers


@pytest.fixture
def lives(mosquitto: MqttPart, tmp_path: Path, fresh_name: Callable[[str], str]) -> Lives:
    """Give a service lives of its own, whose window is a quarter of what there is."""
    return Lives(f"{mosquitto.url}?receive_maximum=10", fresh_name("gapped"), tmp_path)


@pytest.mark.parametrize("point", ["joining:1", "joined:1", "joined:2", "acknowledging:1"])
async def test_a_kill_between_hold_and_acknowledgement_loses_nothing(
    point: str, lives: Lives
) -> None:
    """R2, D1: what was acknowledged is in the store, and what was not comes again."""
    assert await lives.life() == 0

    async with lives.source() as source:
        await lives.send(source, shuffled(point))
        assert await lives.life(point) == -signal.SIGKILL
        await lives.send(source, [1])
        assert await lives.life() == 0

    assert list(dict.fromkeys(handled(lives.ledger))) == list(range(1, EVENTS + 1))


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("point", ["resumed:1", "committed:9"])
async def test_a_kill_on_the_way_back_loses_and_overtakes_nothing(point: str, lives: Lives) -> None:
    """R2, I5: the next process goes on with the line once the lease of the dead one is over."""
    assert await lives.life() == 0

    async with lives.source() as source:
        await lives.send(source, shuffled(point))
        async with asyncio.TaskGroup() as group:
            killed = group.create_task(lives.life(point))
            while not killed.done() and await lives.spooled() < EVENTS - 1:
                await asyncio.sleep(0.05)
            await lives.send(source, [1])
        assert killed.result() == -signal.SIGKILL
        assert await lives.life() == 0

    assert list(dict.fromkeys(handled(lives.ledger))) == list(range(1, EVENTS + 1))
