"""Whose ids a line carries when many events are handled at once, or one has failed."""

import asyncio
import io
import json
import logging
import uuid
from contextvars import ContextVar
from datetime import timedelta

import pytest

from choreo import Context, Event, Retry, Service
from choreo.logs import ContextFilter, JsonFormatter
from choreo.runner import started
from tests.telemetry.observed import Observed, Settlements


class Placed(Event, topic="orders", key="order"):
    order: int


left: ContextVar[int] = ContextVar("left", default=0)


async def test_every_line_of_concurrent_handlers_and_threads_names_its_own_event() -> None:
    """Through the whole delivery: 40 events, each in a task and in a thread."""
    service = Service("shop", broker=f"memory://{uuid.uuid4().hex}", concurrency=80, threads=8)
    settled = Settlements()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(ContextFilter())
    logger = logging.Logger("shop")  # noqa: LOG001 -- in no tree
    logger.addHandler(handler)

    @service.on(Placed)
    async def charge(order: Placed) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            logger.info("%s", order.order)

    @service.on(Placed)
    def pack(order: Placed) -> None:
        logger.info("%s", order.order)

    async with started(service, journals=[settled]):
        ids = await service.publish_many([Placed(order=number) for number in range(40)])
        await settled.reach(40)

    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(told) == 160
    assert {line["handler"] for line in told} == {"charge", "pack"}
    assert all(line["event_id"] == ids[int(line["message"])] for line in told)
    assert all(line["correlation_id"] == line["event_id"] for line in told)


async def test_a_context_variable_left_set_is_gone_for_the_next_event_of_the_slot() -> None:  # A10
    service = Service("shop", broker=f"memory://{uuid.uuid4().hex}", concurrency=1)
    settled = Settlements()
    seen: list[int] = []

    @service.on(Placed)
    async def charge(order: Placed) -> None:
        seen.append(left.get())
        left.set(order.order + 1)

    async with started(service, journals=[settled]):
        await service.publish_many([Placed(order=number) for number in range(6)])
        await settled.reach(6)

    assert seen == [0] * 6


async def test_the_line_of_a_failed_attempt_names_its_span(
    observed: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Service("shop", retry=Retry(initial=timedelta(0)), broker=f"memory://{uuid.uuid4().hex}")

    @shop.on(Placed)
    async def charge(_: Placed, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise LookupError("no gateway")

    async with started(shop, telemetry=observed.telemetry):
        await shop.publish(Placed(order=1))
        await observed.until(lambda: len(observed.named("process orders")) == 2)

    span = observed.named("process orders")[0].get_span_context()
    (line,) = [record for record in caplog.records if record.message == "an attempt failed"]
    assert span is not None
    assert line.__dict__["trace_id"] == f"{span.trace_id:032x}"
    assert line.__dict__["span_id"] == f"{span.span_id:016x}"
