"""A proxy before PostgreSQL that cuts connections in the middle of their COMMIT."""

import asyncio
from itertools import count
from types import TracebackType
from typing import Self

COMMIT = b"COMMIT"


class CommitCutter:
    """Passes bytes on; of every so many commits it cuts one, before or after the server has it."""

    def __init__(self, target: int, every: int, most: int) -> None:
        self._target = target
        self._every = every
        self._most = most
        self._commits = count(1)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.lost = 0
        """Commits that never came to the server."""
        self.unanswered = 0
        """Commits that the server made, and whose answer was lost."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, outer}
        answers = asyncio.create_task(_pass(inner, writer), name="answers")
        try:
            while data := await reader.read(65_536):
                if COMMIT in data and self._chosen():
                    await self._cut(data, outer, inner, answers)
                    return
                outer.write(data)
                await outer.drain()
        except OSError:
            return
        finally:
            answers.cancel()
            await asyncio.wait({answers})
            writer.transport.abort()
            outer.transport.abort()
            self._writers -= {writer, outer}

    def _chosen(self) -> bool:
        return next(self._commits) % self._every == 0 and self.lost + self.unanswered < self._most

    async def _cut(
        self,
        data: bytes,
        outer: asyncio.StreamWriter,
        inner: asyncio.StreamReader,
        answers: "asyncio.Task[None]",
    ) -> None:
        """Lose the commit, or its answer, in turn; the connection goes either way."""
        if self.lost <= self.unanswered:
            self.lost += 1
            return
        answers.cancel()
        await asyncio.wait({answers})
        outer.write(data)
        await inner.read(1)  # so that it is made
        self.unanswered += 1


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.transport.abort()
