"""Five hundred letters given back while the service is busy, by a desk that is killed at it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo.desk.case import State
from choreo.desk.ruling import Wish
from choreo.desk.selection import EVERY, Selection
from choreo.message import Message
from choreo.reason import Reason
from tests.desk.shop import Shop, opened
from tests.local import KafkaPart, MqttPart
from tests.patience import patient

pytestmark = pytest.mark.alone

KEYS = 20
LETTERS = 500
LIVE = 10_000
"""Numbers from here on are those of the live traffic."""
SCRIPT = Path(sys.executable).with_name("choreo")


async def bury_all(shop: Shop) -> None:
    orders = [(f"key-{number % KEYS}", number // KEYS) for number in range(LETTERS)]
    await shop.place(*orders)
    await shop.until(lambda: len(shop.till.seen) == LETTERS, within=40)
    async with asyncio.timeout(patient(20)):
        while len(await shop.cases()) < LETTERS:
            await asyncio.sleep(0.1)
    shop.till.broken = False


class Traffic:
    """Places orders of the same keys, one of each key a time."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._over = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> int:
        """End; tell how many orders of each key were placed."""
        self._over.set()
        return await self._task

    async def _run(self) -> int:
        number = 0
        while not self._over.is_set():
            await self._shop.place(*((f"key-{key}", LIVE + number) for key in range(KEYS)))
            number += 1
            await asyncio.sleep(0.02)
        return number


def replay_by_command(
    shop: Shop, url: str, *more: str, tells: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start the command that replays everything, and *tells* somebody of each letter."""
    return subprocess.Popen(
        [SCRIPT, "dlq", "replay", "-s", shop.name, "--broker", url, "--yes", "--json", *more],
        stdout=tells,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


async def killed_in_the_middle(shop: Shop, url: str) -> None:
    desk = replay_by_command(shop, url, "--rate", "150")
    try:
        await shop.until(lambda: len(old(shop)) > LETTERS // 4, within=40)
    finally:
        desk.send_signal(signal.SIGKILL)
        await asyncio.to_thread(desk.wait, 10)


async def run_to_the_end(shop: Shop, url: str) -> int:
    desk = replay_by_command(shop, url)
    try:
        return await asyncio.to_thread(desk.wait, 40)
    finally:
        desk.kill()


def old(shop: Shop) -> list[tuple[str, int]]:
    return [order for order in shop.till.charged if order[1] < LIVE]


def check(shop: Shop, live: int) -> None:
    """Each letter and each live order was handled once, and those of one key in order."""
    charged = shop.till.charged
    assert Counter(charged) == Counter(set(charged))
    assert len(old(shop)) == LETTERS
    for key in range(KEYS):
        numbers = [number for name, number in charged if name == f"key-{key}"]
        letters = [number for number in numbers if number < LIVE]
        busy = [number for number in numbers if number >= LIVE]
        assert letters == list(range(LETTERS // KEYS))
        assert busy == list(range(LIVE, LIVE + live))
    assert Counter(shop.till.noted) == Counter(set(shop.till.noted))


async def replayed_though_the_desk_is_killed(shop: Shop, url: str) -> None:
    await bury_all(shop)
    traffic = Traffic(shop)

    await killed_in_the_middle(shop, url)
    code = await run_to_the_end(shop, url)

    live = await traffic.stop()
    await shop.until(lambda: len(shop.till.charged) >= LETTERS + KEYS * live, within=30)
    assert code == 0
    check(shop, live)
    states = Counter(case.state for case in await shop.cases(Selection(states=EVERY)))
    assert states == {State.REPLAYED: LETTERS}


@pytest.mark.timeout(120)
async def test_on_kafka_each_letter_is_handled_once_and_in_order(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    name = fresh_name("desk")
    real_kafka.create_topic(f"{name}-orders", partitions=4)
    async with opened(name, real_kafka.url) as shop:
        await replayed_though_the_desk_is_killed(shop, real_kafka.url)


@pytest.mark.timeout(120)
async def test_on_mqtt_each_letter_is_handled_once_and_in_order(
    mosquitto: MqttPart, fresh_name: Callable[[str], str]
) -> None:
    name = fresh_name("desk")
    async with opened(name, mosquitto.url) as shop:
        try:
            await replayed_though_the_desk_is_killed(shop, mosquitto.url)
        finally:
            await forget(shop)


async def test_in_memory_each_letter_is_handled_once_and_in_order(
    fresh_name: Callable[[str], str],
) -> None:
    name = fresh_name("desk")
    async with opened(name, f"memory://{name}?partitions=4") as shop:
        await bury_all(shop)
        traffic = Traffic(shop)

        desk = asyncio.get_running_loop().create_task(
            shop.replay(await shop.cases(), Wish(rate=2_000))
        )
        await shop.until(lambda: len(old(shop)) > LETTERS // 4)
        desk.cancel()
        await asyncio.wait({desk})
        await shop.replay(await shop.cases())

        live = await traffic.stop()
        await shop.until(lambda: len(shop.till.charged) >= LETTERS + KEYS * live)
        check(shop, live)


BAD = 3
"""Number of the order of each key that fails again."""
SLOWLY = 30
"""Letters a second, so that a desk is still at work when it is seen that it has sent some."""


async def stopped_where_it_fails_though_the_desk_is_killed(shop: Shop, url: str) -> None:
    """Kill a desk, and run it again, while what fails again is still at work."""
    await bury_all(shop)
    shop.till.barred = {(f"key-{key}", BAD) for key in range(KEYS)}
    shop.till.shut = asyncio.Event()

    await killed_once_sent(shop, url, (BAD + 2) * KEYS)
    code = await run_to_the_end(shop, url)
    shop.till.shut.set()
    async with asyncio.timeout(patient(40)):
        while len(await shop.cases()) < LETTERS - KEYS * BAD:
            await asyncio.sleep(0.1)

    assert code == 0
    assert sorted(old(shop)) == sorted((f"key-{key}", n) for key in range(KEYS) for n in range(BAD))
    reasons = Counter(case.told.reason for case in await shop.cases())
    assert reasons == {Reason.REJECTED: KEYS, Reason.BEHIND_FAILED: LETTERS - KEYS * (BAD + 1)}


async def killed_once_sent(shop: Shop, url: str, count: int) -> None:
    """Kill a desk at work once it has told of so many letters that were sent."""
    desk = replay_by_command(shop, url, "--rate", f"{SLOWLY}", tells=subprocess.PIPE)
    assert desk.stdout is not None
    try:
        async with asyncio.timeout(patient(40)):
            for _ in range(count):
                assert await asyncio.to_thread(desk.stdout.readline)
    finally:
        desk.kill()
        await asyncio.to_thread(desk.communicate)


@pytest.mark.timeout(120)
async def test_on_kafka_a_key_stops_where_it_fails_though_the_desk_is_killed(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    name = fresh_name("desk")
    real_kafka.create_topic(f"{name}-orders", partitions=4)
    async with opened(name, real_kafka.url) as shop:
        await stopped_where_it_fails_though_the_desk_is_killed(shop, real_kafka.url)


@pytest.mark.timeout(120)
async def test_on_mqtt_a_key_stops_where_it_fails_though_the_desk_is_killed(
    mosquitto: MqttPart, fresh_name: Callable[[str], str]
) -> None:
    name = fresh_name("desk")
    async with opened(name, mosquitto.url) as shop:
        try:
            await stopped_where_it_fails_though_the_desk_is_killed(shop, mosquitto.url)
        finally:
            await forget(shop)


async def forget(shop: Shop) -> None:
    """Take away what the broker would keep for ever."""
    place = shop.desk.place
    for topic in (place.letters, place.journal):
        async with shop.broker.browse(topic) as found:
            kept = [each.topic async for each in found]
        await shop.broker.publish([Message(name, b"", retain=True) for name in kept])
