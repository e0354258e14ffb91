"""What an operator does with events that the broker refused."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from choreo.cli import application
from choreo.store.memory import MemoryStore
from choreo.store.memory.outbox import MemoryOutbox
from choreo.store.opening import open_store
from choreo.store.outbox import Attended, Desk, Settled
from tests.outbox.emitting import Place, emission


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Generator[None]:
    """Undo what a command does to the logging of its process."""
    root = logging.getLogger()
    handlers, level = root.handlers.copy(), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


class Case:
    """A service's outbox and its desk."""

    def __init__(self, place: Place, desk: Desk) -> None:
        self.place = place
        self.desk = desk


@pytest.fixture
async def case(any_url: str) -> AsyncGenerator[Case]:
    async with open_store(any_url) as store:
        place = Place(await store.ledger("shop", ["charge"]))
        if isinstance(store, MemoryStore):
            assert isinstance(place.outbox, MemoryOutbox)
            yield Case(place, place.outbox)
        else:
            assert isinstance(store, Attended)
            yield Case(place, await store.desk("shop"))


async def hold(place: Place, *, aside: bool = False) -> None:
    """Have e1 refused for good, and e2 come behind it."""
    await place.emit(emission("e1"), emission("e2"))
    first, second = await place.read()
    await place.refuse(first, aside=aside)
    if not aside:
        await place.outbox.settle("one", Settled(behind=[second]))


async def test_a_held_event_is_listed_with_what_waits_behind_it(case: Case) -> None:
    await hold(case.place)

    (one,) = await case.desk.refused(10)

    assert (one.row.identity, one.reason, one.behind) == ("e1", "too large", 1)
    assert (one.due, one.aside, one.row.attempts) == (None, False, 1)


async def test_an_event_that_is_tried_again_tells_when(case: Case) -> None:
    await case.place.emit(emission("e1"))
    (row,) = await case.place.read()
    await case.place.refuse(row, again=timedelta(hours=1))

    (one,) = await case.desk.refused(10)

    assert one.due is not None
    assert one.due > row.created


async def test_a_held_event_is_tried_again_before_what_waited(case: Case) -> None:
    await hold(case.place)

    count = await case.desk.retry(None)

    rows = await case.place.read()
    assert (count, [(row.identity, row.attempts) for row in rows]) == (1, [("e1", 0), ("e2", 0)])
    assert not await case.desk.refused(10)


async def test_an_event_set_aside_is_tried_again_before_what_is_there_by_now(case: Case) -> None:
    await hold(case.place, aside=True)
    (one,) = await case.desk.refused(10)

    await case.desk.retry([one.row.id])

    rows = await case.place.read()
    assert [(row.identity, row.blocked, row.waiting) for row in rows] == [
        ("e1", False, True),
        ("e2", True, False),
    ]


async def test_a_lane_goes_on_without_a_dropped_event(case: Case) -> None:
    await hold(case.place)
    (one,) = await case.desk.refused(10)

    count = await case.desk.drop([one.row.id])

    assert (count, await case.place.names()) == (1, ["e2"])


async def test_nothing_waits_behind_a_dropped_event_that_was_alone(case: Case) -> None:
    await case.place.emit(emission("e1"))
    (row,) = await case.place.read()
    await case.place.refuse(row)

    await case.desk.drop([row.id])
    await case.place.emit(emission("e2"))

    assert await case.place.names() == ["e2"]
    assert (await case.place.outbox.backlog("one")).waiting == 0


async def test_what_was_never_refused_cannot_be_dropped(case: Case) -> None:
    """O8: rows that wait to be sent are nobody's to clean up."""
    await case.place.emit(emission("e1"))
    (row,) = await case.place.read()

    assert await case.desk.drop([row.id]) == 0
    assert await case.desk.retry([row.id]) == 0
    assert await case.place.names() == ["e1"]


async def _held(url: str, delay: timedelta | None = None) -> None:
    async with open_store(url) as store:
        place = Place(await store.ledger("shop", ["charge"]))
        await hold(place)
        if delay is not None:
            await place.emit(replace(emission("t1"), delay=delay))


def test_the_command_lists_retries_and_drops(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    asyncio.run(_held(url))
    common = ["--service", "shop", "--store", url, "--json"]
    runner = CliRunner()

    listed = runner.invoke(application.app, ["outbox", "list", *common])
    retried = runner.invoke(application.app, ["outbox", "retry", "e1", *common])
    gone = runner.invoke(application.app, ["outbox", "drop", "e1", "--yes", *common])

    shown = json.loads(listed.stdout)
    assert (shown["event"], shown["state"], shown["behind"]) == ("e1", "held", 1)
    assert json.loads(retried.stdout) == {"service": "shop", "retried": 1}
    assert gone.exit_code != 0


async def test_delayed_events_are_listed_by_when_they_are_due(case: Case) -> None:
    later, soon = (
        replace(emission(name), delay=timedelta(hours=hours))
        for name, hours in (("later", 2), ("soon", 1))
    )
    await case.place.emit(later, emission("now"), soon)

    first, second = await case.desk.timers(10)

    assert [first.identity, second.identity] == ["soon", "later"]
    assert (first.message.topic, first.message.key) == ("orders", b"orders/1")
    assert second.due - first.due == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=5))
    assert [one.identity for one in await case.desk.timers(1)] == ["soon"]


def test_the_command_lists_delayed_events(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    asyncio.run(_held(url, delay=timedelta(hours=1)))
    command = ["outbox", "timers", "--service", "shop", "--store", url]

    shown = json.loads(CliRunner().invoke(application.app, [*command, "--json"]).stdout)
    table = CliRunner().invoke(application.app, command)

    assert (shown["event"], shown["topic"], shown["key"]) == ("t1", "orders", "orders/1")
    assert table.exit_code == 0
    assert "1 delayed events of shop" in table.stdout


def test_the_command_drops_by_number(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    asyncio.run(_held(url))
    command = ["outbox", "drop", "1", "--yes", "--service", "shop", "--store", url, "--json"]

    result = CliRunner().invoke(application.app, command)

    assert json.loads(result.stdout) == {"service": "shop", "dropped": 1}


@pytest.mark.parametrize("service", ["shop", "shopp"])
def test_the_command_says_what_it_was_not_given(tmp_path: object, service: str) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    asyncio.run(_held(url))
    command = ["outbox", "list", "--service", service, "--store", url]

    result = CliRunner().invoke(application.app, command)

    assert (result.exit_code == 0) is (service == "shop")
