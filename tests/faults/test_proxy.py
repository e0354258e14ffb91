"""A proxy makes the trouble that it is asked for, in the direction that it is asked for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from choreo.testing.faults.proxy import LOOPBACK, Proxy

SHORT = 0.2
"""Seconds within which nothing must come."""
HELLO = b"hello"


class Caller:
    """A client of the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def call(self, data: bytes = HELLO) -> bytes:
        self.writer.write(data)
        await self.writer.drain()
        return await self.reader.read(1_000)


class Scene:
    """A proxy before a server that sends back what it gets, and clients before it."""

    def __init__(self, proxy: Proxy, heard: list[bytes]) -> None:
        self.proxy = proxy
        self.heard = heard
        self.callers: list[Caller] = []

    async def caller(self) -> Caller:
        caller = Caller(*await asyncio.open_connection(LOOPBACK, self.proxy.port))
        self.callers.append(caller)
        return caller


@asynccontextmanager
async def echo() -> AsyncGenerator[Scene]:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1_000):
                heard.append(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Proxy.running(LOOPBACK, port) as proxy:
        scene = Scene(proxy, heard)
        yield scene
        for caller in scene.callers:
            caller.writer.close()
            with suppress(OSError):
                await caller.writer.wait_closed()


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    async with echo() as scene:
        caller = await scene.caller()

        assert await caller.call() == HELLO
        assert scene.proxy.carried == 2 * len(HELLO)
        assert scene.proxy.connections == 1


async def test_a_cut_ends_connections_and_new_ones_are_let_in() -> None:
    async with echo() as scene:
        caller = await scene.caller()
        await caller.call()

        scene.proxy.cut()

        with suppress(ConnectionError):
            assert await caller.reader.read(1_000) == b""
        assert scene.proxy.cuts == 1
        assert await (await scene.caller()).call() == HELLO


@pytest.mark.parametrize(("direction", "arrives"), [("both", False), ("up", False), ("down", True)])
async def test_a_stall_holds_back_one_direction_until_it_is_over(
    direction: str, *, arrives: bool
) -> None:
    async with echo() as scene:
        caller = await scene.caller()
        await caller.call(b"first")

        scene.proxy.stall(direction)  # type: ignore[arg-type] # one of three
        answer = asyncio.create_task(caller.call())
        await asyncio.sleep(SHORT)
        stalled = not answer.done()
        got_there = scene.heard == [b"first", HELLO]
        scene.proxy.heal()

        assert stalled
        assert got_there is arrives
        assert await answer == HELLO
        assert scene.proxy.held >= 1


async def test_a_delay_makes_an_answer_late_and_does_not_add_up() -> None:
    async with echo() as scene:
        caller = await scene.caller()
        loop = asyncio.get_running_loop()
        scene.proxy.slow(delay=SHORT)

        begun = loop.time()
        for _ in range(20):
            caller.writer.write(b"x" * 10)
            await asyncio.sleep(0)
        got = b""
        while len(got) < 200:
            got += await caller.reader.read(1_000)
        took = loop.time() - begun

        assert 2 * SHORT <= took < 10 * SHORT


async def test_a_throttle_passes_no_more_than_its_rate() -> None:
    async with echo() as scene:
        caller = await scene.caller()
        loop = asyncio.get_running_loop()
        scene.proxy.slow(rate=5_000, direction="up")

        begun = loop.time()
        await caller.call(b"x" * 1_000)

        assert loop.time() - begun >= 0.2


async def test_a_cut_after_some_bytes_does_what_was_asked_and_leaves_it_untold() -> None:
    async with echo() as scene:
        caller = await scene.caller()
        await caller.call(b"first")

        scene.proxy.cut_after(2)
        caller.writer.write(HELLO)
        answer = b""
        with suppress(ConnectionError):
            answer = await caller.reader.read(1_000)

        assert answer in {b"", HELLO[:2]}
        assert scene.heard == [b"first", HELLO]
        assert scene.proxy.cuts >= 1


async def test_while_it_refuses_no_connection_begins() -> None:
    async with echo() as scene:
        scene.proxy.refuse()

        caller = await scene.caller()
        with suppress(ConnectionError):
            assert await caller.call() == b""

        assert scene.proxy.refusals == 1
        assert scene.heard == []
