"""The outside world: seeded, it asks for things, and does so as badly as producers do.

Keys are as unequal as in life (Zipf), numbers within a key have no gaps, payloads carry a sum; some
requests are sent twice, some before their predecessors, some cannot be read, and some no handler
can do anything with.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from random import Random

from choreo import Message
from choreo.errors import BrokerError, PublishError
from choreo.runner import Running
from choreo.testing.checker import Entry, Scribe
from choreo.testing.checker.recorder import digest
from tests.prove.events import Body, Kind, checksum

KEYS = 200
BATCH = 50
"""Requests published at once."""
TWICE, SWAPPED = 0.02, 0.05
KINDS: dict[Kind, float] = {"flaky": 0.01, "rejected": 0.005, "failing": 0.005, "garbage": 0.002}
PLAIN: Kind = ""
GARBAGE = b"\xff\x00{no json"
AGAIN = 0.5
"""Seconds until what had no answer is published once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing that is asked for."""

    id: str
    key: str
    number: int
    kind: Kind
    swapped: bool = False


@dataclass(slots=True)
class Plan:
    """All that one seed asks for, in the order in which it is sent."""

    seed: int
    count: int
    numbers: Counter[str] = field(default_factory=Counter[str])
    ended: bool = False
    """No more is drawn: what comes yet is what was held back behind its successor."""

    def requests(self) -> Iterator[Request]:
        """Draw the requests; a copy of an earlier one bears its id."""
        dice = Random(self.seed)
        weights = list(accumulate(1 / rank for rank in range(1, KEYS + 1)))
        held: dict[str, Request] = {}
        for index in range(self.count):
            if self.ended:
                break
            request = self._drawn(dice, weights, index)
            if request.key in held:
                yield from (request, held.pop(request.key))
            elif request.kind != "garbage" and dice.random() < SWAPPED:
                held[request.key] = replace(request, swapped=True)
            else:
                yield request
                if dice.random() < TWICE:
                    yield request
        yield from held.values()

    def _drawn(self, dice: Random, weights: Sequence[float], index: int) -> Request:
        key = f"key-{dice.choices(range(KEYS), cum_weights=weights)[0]}"
        luck, kind = dice.random(), PLAIN
        for name, share in KINDS.items():
            luck -= share
            if luck < 0:
                kind = name
                break
        if kind == "garbage":
            key = f"garbage-{index}"  # nobody waits for what nobody can read
        self.numbers[key] += 1
        return Request(id=f"r{index:06}", key=key, number=self.numbers[key], kind=kind)


@dataclass(slots=True)
class Generator:
    """Publishes a plan, and writes down what it was told of each publication."""

    plan: Plan
    kind: type[Body]
    running: Running
    scribe: Scribe
    room: Callable[[], bool]
    """Says whether services keep up."""
    window: float = 0.0
    """Seconds over which it is spread at least; publishing late catches up."""
    sent: int = 0
    """Requests that the broker has accepted, copies included."""

    async def run(self) -> None:
        """Publish all of it."""
        begun, pace = time.monotonic(), self.window / self.plan.count
        batch: list[Request] = []
        for request in self.plan.requests():
            batch.append(request)
            if len(batch) == BATCH:
                await asyncio.sleep(begun + self.sent * pace - time.monotonic())
                await self._publish(batch)
                batch = []
        await self._publish(batch)

    async def _publish(self, batch: Sequence[Request]) -> None:
        """Publish a batch, whatever of it is not accepted again, until all of it is."""
        while not self.room():
            await asyncio.sleep(0.05)
        waiting = [(request, self._message(request)) for request in batch]
        while waiting:
            self._tell("publish_invoke", waiting)
            try:
                await self.running.send([message for _, message in waiting])
            except PublishError as error:
                refused = [waiting[index] for index in error.refused]
                unknown = [waiting[index] for index in error.unknown]
                self._tell("publish_refused", refused)
                self._tell("publish_unknown", unknown)
                left = error.refused.keys() | error.unknown.keys()
                ok = [one for index, one in enumerate(waiting) if index not in left]
                self._tell("publish_ok", ok)
                self.sent += len(ok)
                waiting = [waiting[index] for index in sorted(left)]
                await asyncio.sleep(AGAIN)
            except BrokerError:
                self._tell("publish_unknown", waiting)
                await asyncio.sleep(AGAIN)
            else:
                self._tell("publish_ok", waiting)
                self.sent += len(waiting)
                waiting = []

    def _message(self, request: Request) -> Message:
        event = self.kind(
            owner=request.key,
            number=request.number,
            kind=request.kind,
            check=checksum(request.key, request.number),
        )
        (message,) = self.running.outgoing.roots([(request.id, event)])
        return replace(message, body=GARBAGE) if request.kind == "garbage" else message

    def _tell(self, kind: str, batch: Sequence[tuple[Request, Message]]) -> None:
        now = time.monotonic()
        self.scribe.write_all(
            [
                Entry(
                    at=now,
                    kind=kind,  # type: ignore[arg-type] # one of three
                    proc="generator",
                    topic=message.topic,
                    id=request.id,
                    key=request.key,
                    seq=request.number,
                    payload=digest(message.body),
                    text="swapped" if request.swapped else "",
                )
                for request, message in batch
            ]
        )
