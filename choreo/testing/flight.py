"""What is in flight in a world: counted from the journals of its services, so that nothing polls.

Theory of operation.  A message that a broker accepted is *expected* once by each service whose
subscription covers its topic; a delivery moves it from expected to *held*, and its settlement
ends it.  A handler's emits are accepted before its own event is settled, so that in a chain of
causes the count never touches zero before the last effect.  A delivery may overtake the receipt
of its own publishing: its count is then below zero for that moment.  What was dropped is expected
again.  Expectations are counted by topic and body, which every broker hands over unchanged.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from choreo.broker import Capabilities
from choreo.delivery.job import Job, Received
from choreo.event import event_type
from choreo.message import Delivery, Message
from choreo.replay import Replayed
from choreo.service import Service

Covers = Callable[[str], bool]
"""Says whether a service's subscription covers a topic."""

Expectation = tuple[str, str, bytes]
"""Service, topic and body."""


class Flight:
    """Everything that was accepted and has not come to its end."""

    def __init__(self) -> None:
        self._services: dict[str, Covers] = {}
        self._expected: dict[Expectation, int] = {}
        self._awaited = 0
        self._held: dict[Received, tuple[str, Job | None]] = {}
        self._dead: set[str] = set()
        self.moves = 0
        """Changes so far."""
        self._moved = asyncio.Event()
        self._landed = asyncio.Event()
        self._landed.set()

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return not (self._held or self._awaited or self._dead)

    def join(self, service: str, covers: Covers) -> None:
        """Expect *service* to receive what is published from now on and *covers* covers."""
        self._services[service] = covers

    def published(self, messages: Sequence[Message]) -> None:
        """Expect *messages* wherever they are subscribed to."""
        for message in messages:
            for service, covers in self._services.items():
                if covers(message.topic):
                    self._count((service, message.topic, message.body or b""), 1)
        self._move()

    def received(self, service: str, received: Received) -> None:
        """Hold what *service* was handed."""
        delivery = received.delivery
        self._held[received] = (service, None)
        if not isinstance(delivery, Replayed):  # a desk publishes those, whom nobody watches
            self._count((service, delivery.topic, delivery.body or b""), -1)
        self._move()

    def failed(self, job: Job) -> None:
        """Remember the latest trouble of what is held, for the report."""
        service, _ = self._held[job.received]
        self._held[job.received] = (service, job)
        self._move()

    def ended(self) -> None:
        """Note that one of several handlers of what is held has ended with it."""
        self._move()

    def settled(self, received: Received) -> None:
        """Let go of what ended; what was dropped comes again."""
        service, _ = self._held.pop(received)
        if received.dropped:
            delivery = received.delivery
            self._count((service, delivery.topic, delivery.body or b""), 1)
        self._move()

    def unsettled(self, service: str, deliveries: Sequence[Delivery]) -> None:
        """Expect again what a dead process of *service* only seems to have settled."""
        for delivery in deliveries:
            if not isinstance(delivery, Replayed):
                self._count((service, delivery.topic, delivery.body or b""), 1)
        self._move()

    def abandoned(self, service: str) -> None:
        """Expect again what the life of *service* that is over has left unfinished."""
        for received in [one for one, (by, _) in self._held.items() if by == service]:
            del self._held[received]
            self.unsettled(service, [received.delivery])

    def died(self, service: str) -> None:
        """Wait for the next life of *service*, which may have something to publish."""
        self._dead.add(service)
        self._move()

    def lives_again(self, service: str) -> None:
        """Count on *service* again."""
        self._dead.discard(service)
        self._move()

    async def moved(self, since: int) -> None:
        """Return once *moves* is not *since* any more."""
        while self.moves == since:
            self._moved.clear()
            await self._moved.wait()

    async def landed(self) -> None:
        """Return once nothing is in flight."""
        await self._landed.wait()

    def report(self) -> list[str]:
        """Say what is in flight, a line each."""
        lines = [
            f"{service} has not received {count} of what was published on {topic!r}: {body[:80]!r}"
            for (service, topic, body), count in self._expected.items()
            if count > 0
        ]
        lines.extend(f"{service} died and has not begun again" for service in sorted(self._dead))
        lines.extend(
            _describe(service, received, job) for received, (service, job) in self._held.items()
        )
        return lines

    def _count(self, key: Expectation, change: int) -> None:
        before = self._expected.get(key, 0)
        after = before + change
        self._awaited += max(after, 0) - max(before, 0)
        if after:
            self._expected[key] = after
        else:
            del self._expected[key]

    def _move(self) -> None:
        self.moves += 1
        self._moved.set()
        if self.idle:
            self._landed.set()
        else:
            self._landed.clear()


def _describe(service: str, received: Received, job: Job | None) -> str:
    envelope = received.envelope
    what = f"{envelope.type} {envelope.id}" if envelope else f"a record of {received.size} bytes"
    line = f"{service} holds {what} from {received.delivery.topic!r}"
    if job is None:
        return f"{line}, its handlers have not ended"
    handler = job.handler.plan.id if job.handler else "nobody"
    return f"{line}: {handler} failed attempt {job.attempt} with {job.error!r}"


def covered(service: Service[Any], capabilities: Capabilities) -> Covers:
    """Say which topics *service* subscribes to."""
    topics = [event_type(plan.event).topic for plan in service.plans]
    if not capabilities.topic_levels:
        return frozenset(topic.flat for topic in topics).__contains__
    filters = {tuple(topic.filter.split("/")) for topic in topics}
    return lambda name: any(_fits(name.split("/"), levels) for levels in filters)


def _fits(levels: Sequence[str], filter_levels: Sequence[str]) -> bool:
    return len(levels) == len(filter_levels) and all(
        wanted in ("+", level) for level, wanted in zip(levels, filter_levels, strict=True)
    )
