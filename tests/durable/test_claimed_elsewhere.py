"""What another process is at is held, and the log says so."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from choreo import Event, Message, Service
from choreo.runner import started
from choreo_memory import MemoryBroker
from tests.durable.test_leases_let_go import idle, until


def invitation(topic: str) -> Message:
    """Write the same event each time."""
    told = {"specversion": "1.0", "id": "1", "source": "urn:test", "type": "Invited.v1"}
    headers = [(f"ce_{name}", value.encode()) for name, value in told.items()]
    headers.append(("content-type", b"application/json"))
    return Message(topic, b'{"guest": "Ada"}', None, [*headers])


async def test_a_copy_of_what_another_process_is_at_waits_and_the_log_says_for_what_i4(
    tmp_path: Path, fresh_name: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    name = fresh_name("copies")
    begun, go_on = list[str](), asyncio.Event()

    class Invited(Event, topic=f"{name}-invitations", name="Invited"):
        guest: str

    def hotel(broker: str) -> Service:
        url = f"sqlite:///{tmp_path / 'copies.db'}"
        made = Service(name, broker=broker, store=url, create_topics=True)

        @made.on(Invited, lease=timedelta(seconds=30))
        async def invite(event: Invited) -> None:
            begun.append(event.guest)
            await go_on.wait()

        return made

    async with AsyncExitStack() as stack:
        brokers = [MemoryBroker(f"memory://{name}-{number}") for number in range(2)]
        for broker in brokers:
            await stack.enter_async_context(broker)
        lives = [await stack.enter_async_context(started(hotel(one.url))) for one in brokers]
        with caplog.at_level(logging.WARNING):
            await brokers[0].publish([invitation(f"{name}-invitations")])
            await until(lambda: begun)
            await brokers[1].publish([invitation(f"{name}-invitations")])
            await until(lambda: "holding on" in caplog.text)
        go_on.set()
        await until(lambda: all(map(idle, lives)))

    assert begun == ["Ada"]
    held = [one.getMessage() for one in caplog.records if "holding on" in one.getMessage()]
    assert set(held) == {"another process is at it, holding on"}
