"""An event that kills its process is found out and put aside, and nothing else suffers (D7)."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest

from choreo import Service
from choreo.broker import open_broker
from choreo.dead_letter import dead_letter_filter, read_dead_letter
from choreo.delivery.quarantine import (
    Gate,
    Party,
    Suspects,
    fingerprint,
    gone,
    incarnation,
    started,
)
from choreo.message import Message
from choreo.reason import Reason
from choreo.runner import started as running
from tests.order.poison import EVENTS, POISON, handled, item
from tests.patience import patient

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("broker", "crashes"), [("real_kafka", 3), ("mosquitto", 4)])
async def test_an_event_that_kills_its_process_is_quarantined_after_so_many_crashes(
    broker: str,
    crashes: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fresh_name: Callable[[str], str],
) -> None:
    url: str = request.getfixturevalue(broker).url
    if broker == "real_kafka":
        url += "?session_timeout=6"  # as long as a dead process keeps its share from the next
    topic, ledger = fresh_name("poison"), tmp_path / "ledger"
    arguments = (url, f"sqlite:///{tmp_path}/books.db", str(ledger), topic, str(crashes))
    assert await ended(arguments) == 0
    kind = item(topic)

    async with running(Service(f"{topic}-source", broker=url)) as source:
        events = [kind(key=f"k{number % 7}", number=number) for number in range(EVENTS)]
        await source.publish(events)
    statuses: list[int] = []
    while 0 not in statuses and len(statuses) < 8:
        statuses.append(await ended(arguments))

    assert statuses == [*[9] * crashes, 0]
    counts = Counter(handled(ledger))
    assert set(counts) == set(range(EVENTS)) - {POISON}
    assert await reasons(url, topic) == [Reason.CRASHED]


async def ended(arguments: Sequence[str]) -> int:
    """Run the program once, and tell how it ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.order.poison", *arguments),
        cwd=ROOT,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(patient(30)):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def reasons(url: str, service: str) -> list[Reason]:
    """List why letters of *service* were buried."""
    async with open_broker(url) as broker:
        where = dead_letter_filter(service, broker.capabilities)
        async with broker.browse(where) as letters:
            found = [read_dead_letter(letter) async for letter in letters]
    return [letter.reason for letter in {one.id: one for one in found if one is not None}.values()]


def test_what_is_suspected_is_told_apart_by_all_that_a_broker_hands_over_unchanged() -> None:
    whole = Message("t", b"body", b"key", [("a", b"1"), ("b", None)])
    others = [
        Message("u", b"body", b"key", whole.headers),
        Message("t", b"bod", b"key", whole.headers),
        Message("t", None, b"key", whole.headers),
        Message("t", b"body", None, whole.headers),
        Message("t", b"body", b"key", [("a", b"1"), ("b", b"")]),
        Message("t", b"body", b"key", [("a", b"1b"), ("", None)]),
    ]

    marks = {fingerprint(message) for message in (whole, *others)}

    assert len(marks) == 7
    assert fingerprint(Message("t", b"body", b"key", list(whole.headers))) in marks


def test_one_crash_condemns_nobody_and_acquittal_ends_suspicion() -> None:
    suspects = Suspects(1)
    suspects.learn({b"a": 1, b"b": 2})

    assert suspects.suspected(b"a")
    assert not suspects.condemned(b"a")
    assert suspects.condemned(b"b") == 2
    assert suspects.acquit(b"b")
    assert not suspects.suspected(b"b")
    assert not suspects.acquit(b"b")


def test_a_process_of_this_machine_is_known_to_be_dead_by_its_beginning() -> None:
    own = incarnation("own")
    reused = replace(own, id="reused", started="1")
    elsewhere = replace(reused, id="elsewhere", host="another machine")

    assert started(os.getpid()) == own.started
    assert gone(own, [own, reused, elsewhere]) == [reused]


async def test_who_must_be_alone_waits_for_the_others_and_then_they_wait() -> None:
    gate, order = Gate(), list[str]()

    async def one(name: str, *, alone: bool) -> None:
        await gate.enter(Party(1) if alone else None)
        order.append(f"{name} in")
        await asyncio.sleep(0)
        order.append(f"{name} out")
        gate.leave()

    async with asyncio.TaskGroup() as group:
        for name, alone in (("a", False), ("b", False), ("S", True), ("c", False), ("T", True)):
            group.create_task(one(name, alone=alone))

    assert order == [
        "a in", "b in", "a out", "b out", "S in", "S out", "c in", "c out", "T in", "T out",
    ]  # fmt: skip


async def test_who_gives_up_waiting_lets_others_pass() -> None:
    gate = Gate()
    await gate.enter(None)
    alone = asyncio.create_task(gate.enter(Party(1)))
    many = asyncio.create_task(gate.enter(None))
    await asyncio.sleep(0)
    assert not many.done()

    alone.cancel()
    await asyncio.wait({alone, many})

    assert alone.cancelled()
    assert many.done()


async def test_several_may_give_up_waiting_at_once() -> None:
    """The first one that hears of it lets others pass, and finds those that are yet to hear."""
    gate = Gate()
    await gate.enter(Party(1))
    waiting = [asyncio.create_task(gate.enter(None)) for _ in range(3)]
    await asyncio.sleep(0)

    for task in waiting:
        task.cancel()
    gate.leave()
    await asyncio.wait(waiting)

    assert [task.cancelled() for task in waiting] == [True, True, True]
    await asyncio.wait_for(gate.enter(Party(1)), 1)


async def test_a_party_is_together_inside_and_nobody_else_with_it() -> None:
    gate, party = Gate(), Party(32)
    await gate.enter(party)
    many = asyncio.create_task(gate.enter(None))
    await asyncio.sleep(0)

    await asyncio.wait_for(gate.enter(party), 1)

    assert not gate.leave()
    await asyncio.sleep(0)
    assert not many.done()
    assert gate.leave()
    await asyncio.wait_for(many, 1)


def test_who_comes_while_a_party_runs_joins_the_next_and_copies_count() -> None:
    party = Party(2)
    party.join(b"a")
    party.join(b"a")
    party.quit(b"a")
    assert party.members() == [b"a"]
    assert not party.full
    party.flight = 7
    assert party.full
    party.flight = 0
    party.join(b"b")
    assert party.full


def test_the_last_two_crashes_of_what_is_condemned_are_its_own() -> None:
    suspects = Suspects(4)
    suspects.learn({b"a": 1, b"b": 2, b"c": 3, b"d": 4})

    assert [suspects.alone(event) for event in (b"a", b"b", b"c")] == [False, True, True]
    assert [suspects.condemned(event) for event in (b"a", b"b", b"c", b"d")] == [0, 0, 0, 4]


@pytest.mark.parametrize(
    "message",
    [
        Message("topic", b"body", b"key", [("one", b"1"), ("two", b"2")]),
        Message("topic", None, None, []),
        Message("topic", b"", b"", [("empty", b""), ("absent", None)]),
        Message(
            "t\u00f6pic", b"x" * 300, b"key", [("l\u00f6ng", b"x" * 255), ("longer", b"x" * 256)]
        ),
        Message("\udcff", b"body", b"key", [("half a pair \udcff", b"1")]),
        Message("topic", b"body", b"key", [("made up" * 100, b"1")]),
    ],
)
def test_a_fingerprint_hashes_every_part_behind_its_length(message: Message) -> None:
    """Other processes, of other versions, know events by the same."""
    parts = [message.topic, message.key, message.body]
    parts += [part for header in message.headers for part in header]
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(b"-" if raw is None else f"{len(raw)}:".encode() + raw)

    assert fingerprint(message) == digest.digest()
