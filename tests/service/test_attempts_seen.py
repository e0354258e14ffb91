"""What code within a handler sees of its attempt, whether the handler asks for that or not."""

import asyncio
import io
import logging

import pytest

from choreo import Context, Event, Service
from choreo.context import running
from choreo.logs import ContextFilter
from choreo.testing import Harness


class Seen(Event, topic="seen", key="key"):
    key: str


class Answered(Event, topic="answered", key="key"):
    key: str


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    """Give a logger, in no tree, and what it writes of its records' ids."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(event_type)s %(service)s %(handler)s %(attempt)s"))
    handler.addFilter(ContextFilter())
    logger = logging.Logger("seen", logging.DEBUG)  # noqa: LOG001 -- see above
    logger.addHandler(handler)
    return logger, stream


async def test_a_handler_that_asks_for_no_context_logs_the_ids_of_its_event(
    log: tuple[logging.Logger, io.StringIO],
) -> None:  # A10
    shop, (logger, lines) = Service("shop"), log

    @shop.on(Seen)
    async def look(_: Seen) -> None:
        logger.info("within")

    async with Harness(shop) as world:
        await world.publish(Seen(key="a"))
        await world.settle()

    assert lines.getvalue() == f"Seen.v1 shop {shop.plans[0].id} 1\n"


async def test_what_such_a_handler_leaves_behind_still_knows_whose_it_is() -> None:  # A10
    shop, found = Service("shop"), list[tuple[str, str]]()
    tasks, gate = set[asyncio.Task[None]](), asyncio.Event()

    async def later(key: str) -> None:
        await gate.wait()
        context = running()
        assert context is not None
        found.append((key, context.id))

    @shop.on(Seen)
    async def look(event: Seen) -> None:
        tasks.add(asyncio.create_task(later(event.key)))

    async with Harness(shop) as world:
        ids = [await world.publish(Seen(key=key)) for key in "abc"]
        await world.settle()
        gate.set()
        await asyncio.wait(tasks)

    assert sorted(found) == list(zip("abc", ids, strict=True))
    assert running() is None


@pytest.mark.parametrize("asks", [True, False])
async def test_what_a_handler_returns_is_caused_by_its_event_whatever_it_asks_for(
    *, asks: bool
) -> None:
    shop, other = Service("shop"), Service("other")
    causes: list[str | None] = []

    if asks:

        @shop.on(Seen)
        async def answer(event: Seen, ctx: Context) -> Answered:
            assert ctx.attempt == 1
            return Answered(key=event.key)
    else:

        @shop.on(Seen)
        async def reply(event: Seen) -> Answered:
            return Answered(key=event.key)

    @other.on(Answered)
    async def note(_: Answered, ctx: Context) -> None:
        causes.append(ctx.causation_id)

    async with Harness(shop, other) as world:
        identity = await world.publish(Seen(key="a"))
        await world.settle()

    assert causes == [identity]
