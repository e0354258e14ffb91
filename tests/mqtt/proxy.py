"""A TCP proxy on loopback that cuts, stalls and counts; it stands between a client and a broker."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self


class Proxy:
    """Forwards bytes until it is told to cut every connection, or to let nothing through."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._done: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cuts = 0

    @classmethod
    @asynccontextmanager
    async def running(cls, host: str, port: int) -> AsyncGenerator[Self]:
        proxy = cls(host, port)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.resume()
            proxy.cut()
            if proxy._done:
                await asyncio.wait(proxy._done, timeout=5)
            await server.wait_closed()

    def cut(self, *, politely: bool = False) -> None:
        """End every connection, in the middle of whatever it is doing."""
        self.cuts += len(self._writers) // 2
        for writer in self._writers:
            if politely:
                writer.close()
            else:
                writer.transport.abort()

    def stall(self) -> None:
        """Let nothing through, in either direction; connections stay open."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._done.add(task)
        task.add_done_callback(self._done.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._forward(reader, far_writer), self._forward(far_reader, writer)
            )
        finally:
            self._writers -= {writer, far_writer}

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
