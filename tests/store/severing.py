"""A proxy before PostgreSQL that cuts one connection in its COMMIT, before or after it counts."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

COMMIT = b"COMMIT;"


class CommitCutter:
    """Passes bytes on; once armed, the next COMMIT has no answer."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.armed: Literal["before", "after"] | None = None
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(*self._target)
        lost = asyncio.Event()
        await asyncio.gather(
            self._requests(reader, outer, writer, lost), self._answers(inner, writer, lost)
        )

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        lost: asyncio.Event,
    ) -> None:
        while data := await _read(reader):
            if self.armed and COMMIT in data:
                when, self.armed = self.armed, None
                self.cuts += 1
                if when == "before":
                    client.transport.abort()
                    break
                lost.set()
            server.write(data)
        server.close()

    async def _answers(
        self, server: asyncio.StreamReader, client: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        while data := await _read(server):
            if lost.is_set():
                client.transport.abort()
                return
            client.write(data)
        client.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65_536)
    except OSError:
        return b""


@asynccontextmanager
async def severed(url: str) -> AsyncGenerator[tuple[CommitCutter, str]]:
    """Put a proxy before the server of *url*; yield it and the URL that leads through it."""
    parts = urlsplit(url)
    cutter = CommitCutter(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(cutter.serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    try:
        yield cutter, url.replace(f":{parts.port}/", f":{port}/")
    finally:
        server.close()
