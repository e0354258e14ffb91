"""A TCP proxy between a client and its server, which delays, throttles, stalls, cuts and swallows.

Every trouble can be had in one direction only, as half-open connections are what clients are worst
at.  What the proxy did is counted, so that a test can show that its trouble came about.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Self

LOOPBACK = "127.0.0.1"
CHUNK = 16_384
"""Bytes read at once."""
AHEAD = 64
"""Chunks under way in one direction of one connection."""
CLOSING = 5.0
"""Seconds for connections to end with the proxy."""

Direction = Literal["both", "up", "down"]
"""From the client to the server is up."""


@dataclass(slots=True)
class _Way:
    """What one direction does to bytes."""

    delay: float = 0.0
    rate: float = 0.0
    """Bytes a second; 0: as fast as they come."""
    quota: int = -1
    """Bytes that still pass before everything is cut; -1: no end."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    carried: int = 0
    held: int = 0
    """Chunks that had to wait for a stall to end."""


class Proxy:
    """Forwards bytes to one address, as well or as badly as it is told to."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        """Where new connections lead."""
        self.port = 0
        """Where it listens."""
        self.cuts = 0
        """Connections that it cut."""
        self.refusals = 0
        """Connections that it did not let begin."""
        self._ways = {"up": _Way(), "down": _Way()}
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self.heal()

    @classmethod
    @asynccontextmanager
    async def running(cls, host: str, port: int, *, listen: int = 0) -> AsyncGenerator[Self]:
        """Listen on loopback, at *listen* or any free port, for as long as the block runs."""
        proxy = cls(host, port)
        server = await asyncio.start_server(proxy._serve, LOOPBACK, listen)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.heal()
            proxy.cut()
            if proxy._tasks:
                await asyncio.wait(proxy._tasks, timeout=CLOSING)
            await server.wait_closed()

    # -- troubles ---------------------------------------------------------------------------------

    def cut(self, *, politely: bool = False) -> None:
        """End every connection, in the middle of whatever it is doing."""
        self.cuts += len(self._writers) // 2
        for writer in self._writers:
            if politely:
                writer.close()
            else:
                writer.transport.abort()

    def cut_after(self, count: int, direction: Direction = "down") -> None:
        """Cut everything once *count* more bytes have passed: what was asked is done, untold."""
        for way in self._those(direction):
            way.quota = count

    def stall(self, direction: Direction = "both") -> None:
        """Let nothing through; connections stay open, and new ones begin."""
        for way in self._those(direction):
            way.open.clear()

    def resume(self) -> None:
        """Let through what was stalled, and what comes."""
        for way in self._those("both"):
            way.open.set()

    def slow(self, *, delay: float = 0.0, rate: float = 0.0, direction: Direction = "both") -> None:
        """Deliver *delay* seconds later, and at most *rate* bytes a second on each connection."""
        for way in self._those(direction):
            way.delay, way.rate = delay, rate

    def refuse(self) -> None:
        """Let no new connection begin."""
        self._refusing = True

    def heal(self) -> None:
        """End all troubles; what was cut stays cut."""
        self._refusing = False
        for way in self._those("both"):
            way.delay, way.rate, way.quota = 0.0, 0.0, -1
        self.resume()

    # -- proofs -----------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Connections that it carries."""
        return len(self._writers) // 2

    @property
    def held(self) -> int:
        """Chunks that a stall has held back."""
        return sum(way.held for way in self._ways.values())

    @property
    def carried(self) -> int:
        """Bytes that passed, both ways."""
        return sum(way.carried for way in self._ways.values())

    # -- within -----------------------------------------------------------------------------------

    def _those(self, direction: Direction) -> list[_Way]:
        return [way for name, way in self._ways.items() if direction in {"both", name}]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._refusing:
            self.refusals += 1
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._carry(reader, far_writer, self._ways["up"]),
                self._carry(far_reader, writer, self._ways["down"]),
            )
        finally:
            self._writers -= {writer, far_writer}

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way
    ) -> None:
        """Read ahead, so that a delay holds up no more than it says."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(AHEAD)
        delivering = asyncio.create_task(self._deliver(chunks, writer, way), name="proxy")
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(CHUNK):
                await chunks.put((loop.time() + way.delay, data))
        except OSError:
            pass
        finally:
            await chunks.put((loop.time() + way.delay, b""))
            await delivering

    async def _deliver(
        self,
        chunks: "asyncio.Queue[tuple[float, bytes]]",
        writer: asyncio.StreamWriter,
        way: _Way,
    ) -> None:
        loop = asyncio.get_running_loop()
        broken = False
        while (chunk := await chunks.get())[1]:
            due, data = chunk
            if broken:
                continue  # whoever reads must come to the end
            if not way.open.is_set():
                way.held += 1
                await way.open.wait()
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            if way.rate:
                await asyncio.sleep(len(data) / way.rate)
            try:
                writer.write(self._within_quota(data, way))
                await writer.drain()
            except OSError:
                broken = True
            if way.quota == 0:
                way.quota = -1
                self.cut()
        writer.close()

    def _within_quota(self, data: bytes, way: _Way) -> bytes:
        if way.quota >= 0:
            data = data[: way.quota]
            way.quota -= len(data)
        way.carried += len(data)
        return data
