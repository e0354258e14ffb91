"""The outbox under real processes: writers, relays, one of them killed and one paused."""

import asyncio
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from choreo.broker import TopicFilter
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.local.parts import KafkaPart
from tests.local.process import Process, StartError, wait_until

pytestmark = pytest.mark.alone

LEASE = 5.0
TRANSACTIONS = 100
WRITERS = 4
ROUND = 1024
"""Rows that a relay reads at once at most: what a kill or a pause may repeat."""

Line = tuple[str, str, str]
"""Who published, which id, and its number."""


class Stage:
    """The processes of one test, and what they have written down."""

    def __init__(self, url: str, folder: Path, running: ExitStack) -> None:
        self._url = url
        self._folder = folder
        self._running = running
        self.record = folder / "record"
        self.record.touch()

    def relay(self, name: str, *broker: str) -> Process:
        return self._start("relaying", name, str(self.record), name, str(LEASE), *broker)

    def writer(self, name: str) -> Process:
        file = str(self._folder / f"committed-{name}")
        return self._start("writing", name, file, name, str(WRITERS), str(TRANSACTIONS))

    def write_all(self, names: str) -> None:
        """Have a writer for each letter, and return once all that they wrote is published."""
        writers = [self.writer(name) for name in names]
        wait_until(lambda: not any(one.alive for one in writers), "all was written")
        wait_until(self.all_out, "all went out")

    def committed(self) -> list[str]:
        files = sorted(self._folder.glob("committed-*"))
        return [line for file in files for line in file.read_text().splitlines()]

    def lines(self) -> list[Line]:
        found: list[Line] = []
        for line in self.record.read_text().splitlines():
            name, identity, number = line.split(" ")
            found.append((name, identity, number))
        return found

    def all_out(self) -> bool:
        """Tell whether all that was committed is published."""
        return set(self.committed()) <= {one for _, one, _ in self.lines()}

    def locked(self) -> bool:
        """Tell whether somebody holds the lock of an SQLite file, and does not let go of it."""
        scheme, _, path = self._url.partition(":///")
        if scheme != "sqlite":
            return False
        with closing(sqlite3.connect(path, timeout=LEASE / 2, isolation_level=None)) as file:
            try:
                file.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            file.execute("ROLLBACK")
            return False

    def published_since(self, count: int, name: str) -> bool:
        """Tell whether *name* published anything after the first *count* messages."""
        return any(who == name for who, _, _ in self.lines()[count:])

    def longer_than(self, count: int) -> bool:
        """Tell whether more than *count* messages were published."""
        return len(self.lines()) > count

    def _start(self, module: str, log: str, *arguments: str) -> Process:
        command = [sys.executable, "-m", f"tests.outbox.{module}", self._url, *arguments]
        process = Process(command, log=self._folder / f"{log}.log")
        process.start()
        self._running.callback(process.terminate)
        return process


@contextmanager
def staged(url: str, folder: Path) -> Generator[Stage]:
    with ExitStack() as running:
        yield Stage(url, folder, running)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_with_a_relay_killed_and_one_paused_nothing_is_missed_or_overtaken(
    url: str, tmp_path: Path
) -> None:
    """O1, O2, O3, O4, R5: 8 writers, several rows a transaction, 3 % rolled back, 3 relays."""
    with staged(url, tmp_path) as stage:
        relays = {name: stage.relay(name) for name in ("killed", "paused", "spared")}
        wait_until(
            lambda: all("up" in one.log.read_text() for one in relays.values()),
            "all relays had shards",
            needs=list(relays.values()),
        )
        writers = [stage.writer(name) for name in ("a", "b")]
        wait_until(lambda: len(stage.lines()) > 300, "rows went out")

        relays["killed"].kill()
        _pause(stage, relays["paused"])
        wait_until(lambda: not any(one.alive for one in writers), "all was written")
        wait_until(stage.all_out, "the third relay had taken over everything")
        at_return = len(stage.lines())
        relays["paused"].thaw()
        for names in ("cd", "ef", "gh", "ij", "kl", "mn"):  # it takes a while to have shards again
            stage.write_all(names)
            if stage.published_since(at_return, "paused"):
                break
        for name in ("paused", "spared"):
            relays[name].terminate()

        _check(stage.lines(), stage.committed(), at_return)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_on_kafka_a_paused_relay_repeats_at_most_what_it_had_under_way(
    real_kafka: KafkaPart, postgres_url: str, tmp_path: Path, fresh_name: Callable[[str], str]
) -> None:
    """O4: a call that the client had taken before the pause is the one thing nobody can fence."""
    topic = real_kafka.create_topic(fresh_name("relayed"), partitions=4)
    with staged(postgres_url, tmp_path) as stage:
        relays = [stage.relay(name, real_kafka.url, topic) for name in ("paused", "spared")]
        wait_until(lambda: all("up" in one.log.read_text() for one in relays), "both had shards")
        writers = [stage.writer(name) for name in ("a", "b")]
        await asyncio.to_thread(wait_until, lambda: stage.longer_than(100), "rows went out")
        relays[0].freeze()
        await asyncio.to_thread(wait_until, lambda: not any(w.alive for w in writers), "written")
        await asyncio.to_thread(wait_until, stage.all_out, "the other had taken over")
        relays[0].thaw()
        fenced = "stands back"
        wait_until(lambda: fenced in relays[0].log.read_text(), "the paused one stood back")
        for one in relays:
            one.terminate()

        async with KafkaBroker(real_kafka.url) as broker, broker.browse(TopicFilter(topic)) as log:
            lines = [_line(delivery) async for delivery in log]
        _check(lines, stage.committed(), len(lines))


def _line(message: Message) -> Line:
    told = dict(message.headers)
    who, one, number = (told.get(name) or b"-" for name in ("who", "ce_id", "number"))
    return who.decode(), one.decode(), number.decode()


def _pause(stage: Stage, relay: Process) -> None:
    """Stop *relay* for good while others go on, but not with the lock of an SQLite file.

    That others publish does not tell that: they may have read what they publish before.
    """
    while True:
        relay.freeze()
        goes_on = partial(stage.longer_than, len(stage.lines()))
        try:
            wait_until(goes_on, "others went on", within=LEASE * 2)
        except StartError:
            relay.thaw()
            continue
        if not stage.locked():
            return
        relay.thaw()


def _check(lines: Sequence[Line], committed: Sequence[str], at_return: int) -> None:
    times = Counter(one for _, one, _ in lines)
    repeated = [one for one, count in times.items() if count > 1]
    assert set(times) == set(committed)
    assert len(repeated) <= 2 * ROUND
    earlier: set[str] = set()
    before = {one for _, one, _ in lines[:at_return]}
    lanes: dict[str, list[str]] = defaultdict(list)
    numbers: dict[str, list[int]] = defaultdict(list)
    for place, (who, one, number) in enumerate(lines):
        # What was under way at the pause others had published: never once more by it.
        assert not (who == "paused" and place >= at_return and one in before)
        if one not in earlier:
            lane = one.partition("/")[0]
            lanes[lane].append(one)
            if number != "-":
                numbers[lane].append(int(number))
        earlier.add(one)
    assert all(ones == sorted(ones) for lane, ones in lanes.items() if "shared" not in lane)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    assert at_return == len(lines) or any(who == "paused" for who, _, _ in lines[at_return:])
    print(f"{len(lines)} published, {len(repeated)} repeated")  # noqa: T201 -- shown with -s
