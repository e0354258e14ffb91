"""What is waited for has its time, and no more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from choreo_sql.patience import Bound, Patience


@asynccontextmanager
async def bounded(patience: Patience) -> AsyncGenerator[None]:
    """Bound what is done inside."""
    bound = Bound(patience)
    bound.enter()
    try:
        yield
    except BaseException as error:
        bound.leave(error)
        raise
    else:
        bound.leave(None)


async def _for_ever(patience: Patience) -> None:
    async with bounded(patience):
        await asyncio.Event().wait()


async def _over(patience: Patience) -> float:
    """Tell when it was over."""
    with pytest.raises(TimeoutError):
        await _for_ever(patience)
    return asyncio.get_running_loop().time()


async def test_what_takes_too_long_is_over_and_what_began_later_has_all_of_its_time() -> None:
    patience, loop = Patience(0.1), asyncio.get_running_loop()
    began = loop.time()
    first = asyncio.create_task(_over(patience))
    later = loop.create_future()
    loop.call_at(began + 0.05, later.set_result, None)
    await later
    second = asyncio.create_task(_over(patience))

    assert began + 0.09 < await first
    assert began + 0.14 < await second


async def test_what_ends_in_time_is_not_interrupted_afterwards() -> None:
    patience, loop = Patience(0.01), asyncio.get_running_loop()
    async with bounded(patience):
        pass

    late = loop.create_future()
    loop.call_later(0.05, late.set_result, "late")

    assert await late == "late"


async def test_who_is_cancelled_meanwhile_is_cancelled() -> None:
    task = asyncio.create_task(_for_ever(Patience(60)))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_and_out_of_time_at_once_is_cancelled() -> None:
    patience = Patience(60)
    bound = Bound(patience)

    async def waiting() -> None:
        bound.enter()
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            bound.leave(error)
            raise

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    bound.interrupt()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_store_that_is_closed_leaves_no_timer_behind() -> None:
    patience = Patience(60)
    async with bounded(patience):
        pass

    patience.close()

    assert patience.idle


def test_another_loop_has_its_own_timer() -> None:
    patience = Patience(0.01)

    async def once() -> None:
        with pytest.raises(TimeoutError):
            await _for_ever(patience)

    async def left_behind() -> None:
        async with bounded(patience):
            pass

    asyncio.run(left_behind())
    asyncio.run(once())


async def test_a_bound_whose_time_was_over_is_as_new_when_it_is_used_once_more() -> None:
    patience, loop = Patience(0.01), asyncio.get_running_loop()
    bound = Bound(patience)

    async def waited() -> None:
        bound.enter()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            bound.leave(error)
            raise

    with pytest.raises(TimeoutError):
        await waited()
    patience.seconds = 60
    task = asyncio.create_task(waited())
    loop.call_soon(task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()
