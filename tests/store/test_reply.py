"""What SQLite's thread replies wakes whoever awaits it at once, and in no other task's step."""

import asyncio
from contextvars import ContextVar
from pathlib import Path

import pytest

from choreo_sql.driver import connecting
from choreo_sql.reply import Reply

NAME: ContextVar[str] = ContextVar("name", default="nobody's")


def reply() -> Reply[str]:
    return Reply(loop=asyncio.get_running_loop())


async def awaiting(awaited: Reply[str], said: list[str]) -> None:
    try:
        said.append(await awaited)
    except LookupError:
        said.append("failed")
    except asyncio.CancelledError:
        said.append("cancelled")
        raise


async def started(awaited: Reply[str], said: list[str]) -> asyncio.Task[None]:
    task = asyncio.create_task(awaiting(awaited, said))
    await asyncio.sleep(0)
    return task


async def test_whoever_awaits_goes_on_in_the_turn_that_brings_the_reply() -> None:
    loop, awaited, said = asyncio.get_running_loop(), reply(), list[str]()
    task = await started(awaited, said)

    loop.call_soon(awaited.set_result, "replied")
    loop.call_soon(said.append, "the same turn's next")
    await task

    assert said == ["replied", "the same turn's next"]


async def test_an_error_comes_as_soon() -> None:
    loop, awaited, said = asyncio.get_running_loop(), reply(), list[str]()
    task = await started(awaited, said)

    loop.call_soon(awaited.set_exception, LookupError())
    loop.call_soon(said.append, "the same turn's next")
    await task

    assert said == ["failed", "the same turn's next"]


async def test_a_task_that_cancels_another_goes_on_before_that() -> None:
    awaited, said = reply(), list[str]()
    task = await started(awaited, said)

    task.cancel()
    said.append("who cancels")
    with pytest.raises(asyncio.CancelledError):
        await task

    assert said == ["who cancels", "cancelled"]
    assert awaited.cancelled()


async def test_all_who_await_are_told() -> None:
    loop, awaited, said = asyncio.get_running_loop(), reply(), list[str]()
    tasks = [await started(awaited, said) for _ in range(3)]
    shielded = asyncio.shield(awaited)

    loop.call_soon(awaited.set_result, "replied")
    await asyncio.gather(*tasks)

    assert said == ["replied"] * 3
    assert await shielded == await asyncio.wait_for(awaited, 1) == "replied"


async def test_each_goes_on_in_its_own_context() -> None:
    loop, awaited, names = asyncio.get_running_loop(), reply(), list[str]()

    async def named() -> None:
        NAME.set("its own")
        await awaited
        names.append(NAME.get())
        NAME.set("another")

    task = asyncio.create_task(named())
    await asyncio.sleep(0)
    loop.call_soon(awaited.set_result, "replied")
    loop.call_soon(lambda: names.append(NAME.get()))
    await task

    assert names == ["its own", "nobody's"]


async def test_who_is_not_to_be_called_any_more_is_not() -> None:
    loop, awaited, said = asyncio.get_running_loop(), reply(), list[str]()

    def call(_: Reply[str]) -> None:
        said.append("called")

    task = await started(awaited, said)
    awaited.add_done_callback(call)

    assert awaited.remove_done_callback(call) == 1
    loop.call_soon(awaited.set_result, "replied")
    await task
    assert said == ["replied"]


async def test_a_statement_on_what_was_closed_is_refused(tmp_path: Path) -> None:
    connection = await connecting(str(tmp_path / "books.db"), 1.0)()
    assert list(await connection.execute_fetchall("SELECT 1")) == [(1,)]

    await connection.close()

    with pytest.raises(ValueError, match="closed"):
        await connection.execute_fetchall("SELECT 1")
    with pytest.raises(ValueError, match="closed"):
        _ = connection.in_transaction
