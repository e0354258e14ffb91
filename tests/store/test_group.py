"""Concurrent callers are served together, each with its own results."""

import asyncio
from collections.abc import Sequence

import pytest

from choreo.errors import StoreError
from choreo_sql.group import Group


class Till:
    """Serves when it is let, and remembers in which batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()

    async def serve(self, items: Sequence[int]) -> Sequence[int | StoreError]:
        self.batches.append(list(items))
        await self.open.wait()
        if 13 in items:
            raise LookupError
        return [StoreError("refused") if item == 7 else item * 10 for item in items]


async def started(group: Group[int, int], *items: int) -> "asyncio.Task[Sequence[int]]":
    """Submit *items* and let the group see them."""
    task = asyncio.create_task(group.submit(items))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_the_first_is_served_at_once_and_who_comes_meanwhile_together() -> None:
    till = Till()
    group = Group[int, int]("test", till.serve, limit=5)
    tasks = [await started(group, *items) for items in [(1,), (2, 3), (4,), (5, 6, 8), (9,)]]
    till.open.set()

    assert [await task for task in tasks] == [[10], [20, 30], [40], [50, 60, 80], [90]]
    assert till.batches == [[1], [2, 3, 4], [5, 6, 8, 9]]


async def test_more_than_a_batch_holds_is_served_whole() -> None:
    till = Till()
    till.open.set()

    assert len(await Group[int, int]("test", till.serve, limit=2).submit([1, 2, 3, 4])) == 4


async def test_a_failure_reaches_its_caller_and_no_other() -> None:
    till = Till()
    group = Group[int, int]("test", till.serve, limit=5)
    tasks = [await started(group, item) for item in (1, 7, 2)]
    till.open.set()

    assert [await tasks[0], await tasks[2]] == [[10], [20]]
    with pytest.raises(StoreError, match="refused"):
        await tasks[1]


async def test_who_has_gone_is_not_served() -> None:
    till = Till()
    group = Group[int, int]("test", till.serve, limit=5)
    tasks = [await started(group, item) for item in (1, 2, 3)]
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    till.open.set()

    assert (await tasks[0], await tasks[2]) == ([10], [30])
    assert till.batches == [[1], [3]]


async def test_a_bug_reaches_who_waits_and_the_next_are_served() -> None:
    till = Till()
    till.open.set()
    group = Group[int, int]("test", till.serve, limit=5)

    with pytest.raises(LookupError):
        await group.submit([13])

    assert await group.submit([1]) == [10]


async def test_closing_waits_for_who_is_being_served() -> None:
    till = Till()
    group = Group[int, int]("test", till.serve, limit=5)
    task = await started(group, 1)
    closing = asyncio.create_task(group.close())
    await asyncio.sleep(0)

    assert not closing.done()
    till.open.set()
    await closing
    assert await task == [10]
