"""``choreo tail``: what is on some topics, and what comes; in no group, settling nothing."""

import asyncio
import signal
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from choreo import recording
from choreo.broker import Broker, TopicFilter
from choreo.cli.reaching import reached
from choreo.cli.record import Record, Recorder, as_json, lines
from choreo.cli.screen import print_json, print_line
from choreo.files import append
from choreo.message import Delivery
from choreo.settings import Settings

LAST = 10
"""Messages shown of a topic's end when neither its beginning nor a limit was asked for."""
AHEAD = 1_000
"""Messages read ahead of the screen when several topics are followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``choreo tail``."""

    topics: Sequence[str]
    broker: str | None = None
    from_beginning: bool = False
    follow: bool = True
    limit: int | None = None
    kind: str | None = None
    correlation: str | None = None
    json: bool = False
    record: Path | None = None
    """File to which what is shown is added, whole."""


async def tail(request: Request) -> None:
    """Print what was asked for; with *follow* until a limit is reached or a signal comes."""
    if request.record is not None:
        append(request.record, "")  # what cannot be written to is told before anything is read
    async with reached(Settings.load(broker=request.broker)) as broker:
        work = asyncio.get_running_loop().create_task(_tail(broker, request), name="choreo tail")
        if not request.follow:
            await work
            return
        # A signal is how following ends: that is success.
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def stop() -> None:
            stopped.set()
            work.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        try:
            await work
        except asyncio.CancelledError:
            if not stopped.is_set():
                raise


async def _tail(broker: Broker, request: Request) -> None:
    recorder = Recorder(broker.capabilities)
    last: deque[tuple[Record, Delivery]] | None = None
    if not request.follow and not request.from_beginning:
        last = deque(maxlen=request.limit or LAST)
    shown = 0
    async with _deliveries(broker, request) as deliveries:
        async for delivery in deliveries:
            record = recorder.read(delivery)
            if not record.matches(request.kind, request.correlation):
                continue
            if last is not None:
                last.append((record, delivery))
                continue
            _show(record, delivery, request)
            shown += 1
            if shown == request.limit:
                return
    for record, delivery in last or ():
        _show(record, delivery, request)


@asynccontextmanager
async def _deliveries(broker: Broker, request: Request) -> AsyncGenerator[AsyncGenerator[Delivery]]:
    """Read all topics: one after the other to their ends, or at once if they are followed."""
    kept = broker.capabilities.retained
    fresh = request.follow and not request.from_beginning
    filters = [TopicFilter(topic, retained=kept, fresh=fresh) for topic in request.topics]
    if not request.follow:
        async with aclosing(_in_turn(broker, filters)) as reading:
            yield reading
        return
    queue: asyncio.Queue[Delivery] = asyncio.Queue(AHEAD)
    async with asyncio.TaskGroup() as group, aclosing(_taken(queue)) as reading:
        pumps = [group.create_task(_pump(broker, topic, queue)) for topic in filters]
        yield reading
        for pump in pumps:
            pump.cancel()


async def _in_turn(broker: Broker, topics: Sequence[TopicFilter]) -> AsyncGenerator[Delivery]:
    for topic in topics:
        async with broker.browse(topic) as deliveries:
            async for delivery in deliveries:
                yield delivery


async def _pump(broker: Broker, topic: TopicFilter, queue: asyncio.Queue[Delivery]) -> None:
    async with broker.browse(topic, follow=True) as deliveries:
        async for delivery in deliveries:
            await queue.put(delivery)


async def _taken(queue: asyncio.Queue[Delivery]) -> AsyncGenerator[Delivery]:
    while True:
        yield await queue.get()


def _show(record: Record, delivery: Delivery, request: Request) -> None:
    if request.record is not None:
        append(request.record, f"{recording.line(delivery)}\n")
    if request.json:
        print_json(as_json(record))
        return
    for line in lines(record):
        print_line(line)
