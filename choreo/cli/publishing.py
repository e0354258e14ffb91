"""``choreo publish``: events given as JSON, checked against their class, sent in order."""

import sys
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from choreo.broker import Broker
from choreo.cli.failure import InvalidInput
from choreo.cli.reaching import reached
from choreo.cli.screen import err, print_json, print_line
from choreo.cli.stdin import Line, line_batches, size_of_stdin
from choreo.cli.target import event_class
from choreo.clock import SystemClock
from choreo.cloudevents import EnvelopeWriter
from choreo.codec import Codec
from choreo.delivery.outgoing import Outgoing, Writer
from choreo.envelope import Envelope
from choreo.environment import Environment
from choreo.errors import PublishError
from choreo.event import Event, event_type, partition_key
from choreo.formats import formats
from choreo.ids import SystemIds
from choreo.message import Message
from choreo.settings import Settings

SOURCE = "urn:choreo:cli"
"""CloudEvents source of what is published by hand."""
STDIN = "-"
MAX_PROBLEMS = 5

Advance = Callable[[int], None]
"""Told how many bytes of stdin are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``choreo publish``."""

    target: str
    data: str
    broker: str | None = None
    identity: str | None = None
    correlation: str | None = None
    json: bool = False


class Sending(NamedTuple):
    """One event on its way, and where it came from."""

    line: int
    identity: str
    event: Event
    message: Message


async def publish(request: Request) -> None:
    """Publish and print the ids; raise InvalidInput or PublishError naming the first line at fault.

    What stands before a faulty line has been published then, nothing after it.
    """
    kind = event_class(request.target)
    if request.data != STDIN:
        # Checked before the broker is reached: a wrong event costs no connection.
        parse(kind, Line(1, request.data.encode()), single=True)
    settings = Settings.load(broker=request.broker)
    async with (
        reached(settings) as broker,
        formats(settings, Environment(), [kind], hasty=True) as codec,
    ):
        desk = Desk(kind, broker, codec, request)
        if request.data != STDIN:
            await desk.send([Line(1, request.data.encode())])
            return
        with _progress() as advance:
            async with aclosing(line_batches()) as batches:
                await _all(desk, batches, advance)


class Desk:
    """Takes lines, makes messages of them and tells which ids they went under."""

    def __init__(self, kind: type[Event], broker: Broker, codec: Codec, request: Request) -> None:
        self._kind = kind
        self._broker = broker
        self._request = request
        self._ids = SystemIds()
        self._single = request.data != STDIN
        self._outgoing = Outgoing(
            source=SOURCE,
            writer=_writer(broker, request.correlation),
            codec=codec,
            clock=SystemClock(),
            capabilities=broker.capabilities,
        )
        self._outgoing.prepare(kind)
        self.published = 0

    async def send(self, lines: Sequence[Line]) -> None:
        """Publish one event per line, up to the first that is none."""
        batch: list[Sending] = []
        fault: InvalidInput | None = None
        for line in lines:
            try:
                batch.append(self._made(line))
            except InvalidInput as error:
                fault = error
                break
        if batch:
            await self._deliver(batch)
        if fault is not None:
            raise fault

    def _made(self, line: Line) -> Sending:
        event = parse(self._kind, line, single=self._single)
        asked = self._request.identity
        identity = self._ids.new() if asked is None else asked
        (message,) = self._outgoing.roots([(identity, event)])
        return Sending(line.number, identity, event, message)

    async def _deliver(self, batch: Sequence[Sending]) -> None:
        try:
            await self._broker.publish([sending.message for sending in batch])
        except PublishError as error:
            self._tell(batch, {*error.refused, *error.unknown})
            raise PublishError(
                self._complaint(batch, error), refused=error.refused, unknown=error.unknown
            ) from error
        self._tell(batch, set())

    def _tell(self, batch: Sequence[Sending], failed: set[int]) -> None:
        for index, sending in enumerate(batch):
            if index in failed:
                continue
            self.published += 1
            if self._request.json:
                print_json(_published(sending))
            else:
                print_line(sending.identity)

    def _complaint(self, batch: Sequence[Sending], error: PublishError) -> str:
        problems = [
            f"{'' if self._single else f'line {batch[index].line} '}"
            f"(id {batch[index].identity}) {verb}: {why}"
            for verb, reasons in (("was refused", error.refused), ("may be stored", error.unknown))
            for index, why in reasons.items()
        ]
        more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        return "; ".join(problems[:MAX_PROBLEMS]) + more or str(error)


def parse(kind: type[Event], line: Line, *, single: bool) -> Event:
    """Read one event; raise InvalidInput naming the line, the fields and what is wrong."""
    where = "the event" if single else f"line {line.number}"
    try:
        return kind.model_validate_json(line.text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [
        f"{'.'.join(map(str, item['loc'])) + ': ' if item['loc'] else ''}{item['msg']}"
        for item in found
    ]
    more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
    raise InvalidInput(f"{where} is no {kind.__name__}: {'; '.join(problems[:MAX_PROBLEMS])}{more}")


class InConversation:
    """Writes every envelope as part of one conversation that has begun elsewhere."""

    def __init__(self, writer: Writer, correlation: str) -> None:
        self._writer = writer
        self._correlation = correlation

    def write(self, envelope: Envelope, topic: str, key: bytes | None, /) -> Message:
        """Build the message that carries *envelope*."""
        envelope.correlation_id = self._correlation
        return self._writer.write(envelope, topic, key)

    def stencil(self, _source: str, _kind: str, _media: str, /) -> None:
        """Compose nothing: each is written as an envelope, which is what is changed."""

    def stamp(self, message: Message, number: int, epoch: int, /) -> Message:
        """Write into *message* its number in its stream, and which count of its source that is."""
        return self._writer.stamp(message, number, epoch)


def _writer(broker: Broker, correlation: str | None) -> Writer:
    writer = EnvelopeWriter(broker.capabilities.binding)
    return writer if correlation is None else InConversation(writer, correlation)


async def _all(desk: Desk, batches: AsyncIterator[Sequence[Line]], advance: Advance) -> None:
    async for lines in batches:
        try:
            await desk.send([line for line in lines if line.text.strip()])
        except (InvalidInput, PublishError) as error:
            note = f"{error} ({desk.published} events were published)"
            raise type(error)(note) from error
        advance(sum(len(line.text) + 1 for line in lines))


@contextmanager
def _progress() -> Generator[Advance]:
    """Show a bar on a terminal while the block runs, unless somebody types there."""
    console = err()
    columns = (TextColumn("publishing"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=sys.stdin.isatty() or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        task = progress.add_task("", total=size_of_stdin())
        yield lambda done: progress.advance(task, done)


def _published(sending: Sending) -> dict[str, object]:
    """Return the object that ``--json`` prints for one event."""
    return {
        "id": sending.identity,
        "type": event_type(sending.event).type,
        "topic": sending.message.topic,
        "key": partition_key(sending.event),
    }
