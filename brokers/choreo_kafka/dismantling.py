"""Stopping aiokafka's objects, whatever state they are in: the one module that takes them apart.

Their own ``stop`` may hang, may raise what nobody asked for, and leaves tasks behind when it is
given up.  What is private in aiokafka 0.14 and used here: those tasks, and what they wait for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import chain
from typing import Any, cast

from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from choreo_kafka.client import RawConsumer, RawProducer, connection_of

logger = logging.getLogger(__name__)

DISMANTLE_BUDGET = 1.0
"""Seconds each part of a stuck client object gets to close before it is left alone."""


async def stop(client: RawProducer | RawConsumer, budget: timedelta) -> None:
    """Stop *client* within *budget*, or take it apart: never hangs, never raises (K20, P3, A4).

    Runs aiokafka's stop in a task of its own, because it may raise a CancelledError that nobody
    asked for.
    """
    if await _finished(client.stop(), budget.total_seconds()):
        return
    logger.warning("a Kafka client did not stop in time and is taken apart")
    for part in _parts(client):
        await _finished(part(), DISMANTLE_BUDGET)


def _parts(client: RawProducer | RawConsumer) -> list[Callable[[], Awaitable[object]]]:
    inner = cast("Any", client)
    coordinator = getattr(inner, "_coordinator", None)
    tasks = [
        getattr(owner, task, None)
        for owner, task in (
            (coordinator, "_coordination_task"),
            (coordinator, "_heartbeat_task"),
            (coordinator, "_commit_refresh_task"),
            (getattr(inner, "_sender", None), "_sender_task"),
        )
    ]
    parts: list[Callable[[], Awaitable[object]]] = [
        _ending(task) for task in tasks if task is not None
    ]
    accumulator = getattr(inner, "_message_accumulator", None)
    if accumulator is not None:
        parts.append(_emptying(accumulator))
    fetcher = getattr(inner, "_fetcher", None)
    if fetcher is not None:
        parts.append(fetcher.close)
    connection = connection_of(client)
    if coordinator is not None:
        parts.append(_leaving(coordinator, connection))
    parts.append(connection.close)
    return parts


def _ending(task: "asyncio.Task[object]") -> Callable[[], Awaitable[object]]:
    async def end() -> None:
        while not task.done():  # each cancel ends but one of the tasks it waits for in turn
            task.cancel()
            await asyncio.wait([task], timeout=0.05)

    return end


def _leaving(
    coordinator: Any,  # noqa: ANN401 - private
    connection: Any,  # noqa: ANN401 - private
) -> Callable[[], Awaitable[object]]:
    """Leave the group, whose others would wait for a member that is gone until its session ends.

    On a connection of its own: that of the group waits for the answer to a join, as long as another
    member keeps everybody waiting.
    """

    async def leave() -> None:
        member = getattr(coordinator, "member_id", "")
        node = getattr(coordinator, "coordinator_id", None)
        if member and node is not None and coordinator._group_instance_id is None:  # noqa: SLF001
            await connection.send(node, LeaveGroupRequest(coordinator.group_id, member))

    return leave


def _emptying(accumulator: Any) -> Callable[[], Awaitable[object]]:  # noqa: ANN401 - private
    """Fail what nobody will send any more: a task of the producer's own stop waits for it."""

    async def empty() -> None:
        # As if all were on their way: the batch is taken out from there when its future is done.
        pending = accumulator._pending_batches  # noqa: SLF001
        pending.update(chain(*accumulator._batches.values()))  # noqa: SLF001
        accumulator._batches.clear()  # noqa: SLF001
        for batch in tuple(pending):
            if not batch.future.done():
                batch.future.set_exception(KafkaConnectionError("the producer was taken apart"))
                batch.future.exception()  # whoever waits for it is told; if nobody does, so be it
        await accumulator.close()

    return empty


async def _finished(work: Awaitable[object], seconds: float) -> bool:
    """Say whether *work* ended well in time; what did not end is cancelled and left behind."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=seconds)
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=DISMANTLE_BUDGET)
        return False
    if task.cancelled():
        return False
    error = task.exception()
    if error is not None:
        logger.info("a Kafka client stopped with an error", extra={"error": repr(error)})
    return error is None or isinstance(error, KafkaError)
