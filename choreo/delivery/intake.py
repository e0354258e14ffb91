"""What a delivery is and who handles it: decided from its headers alone, without decoding it."""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from choreo.broker import Binding
from choreo.clock import Clock
from choreo.delivery.job import Handler, Job, Outcome, Received
from choreo.delivery.replays import Replays
from choreo.envelope import Envelope
from choreo.errors import DecodeError, UnknownVersion, UnsupportedSpecVersion
from choreo.message import Delivery
from choreo.reason import Reason
from choreo.replay import MAX_REPLAYS, Replayed, ReplayRefused

logger = logging.getLogger(__name__)

_blank = object.__new__

NOWHERE = "\0"
"""Beginning of no topic."""


class Reader(Protocol):
    """Finds the envelope in a delivery."""

    def read(self, delivery: Delivery, /) -> Envelope | None:
        """Read the envelope; None for a foreign record that nobody declared; raises DecodeError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What to do with deliveries that no handler decides about."""

    foreign: Literal["ignore", "dead_letter"] = "dead_letter"
    max_hops: int = 64
    order: Literal["handler", "key"] = "handler"
    """Keep a key in order within each handler, or across all handlers of the service."""


class Sorted(NamedTuple):
    """A delivery with its handlers; or without any, and then with a reason or an outcome."""

    envelope: Envelope | None
    handlers: Sequence[Handler] = ()
    reason: Reason | None = None
    error: Exception | None = None
    outcome: Outcome | None = None
    replay: Replayed | None = None
    """What is to be handled in place of the delivery itself, which only carries it."""


def _nobody(_: Envelope) -> Sequence[Handler]:
    return ()


class Intake:
    """Sorts deliveries of one service."""

    def __init__(
        self,
        reader: Reader,
        routes: Mapping[str, Sequence[Handler]],
        policies: Policies,
        binding: Binding,
        clock: Clock,
        replays: Replays | None = None,
        newer: Callable[[Envelope], Sequence[Handler]] = _nobody,
    ) -> None:
        """Take *routes* by CloudEvents type; *newer* tells who reads a type that is not there.

        It raises UnknownVersion for what they cannot read.
        """
        self._reader = reader
        self._routes = routes
        self._newer = newer
        self._versions = {name.rpartition(".v")[0] for name in routes}
        self._policies = policies
        self._by_handler = policies.order == "handler"
        self._native_key = binding is not Binding.MQTT
        self._only = {
            kind: (found[0], self._number(found[0]))
            for kind, found in routes.items()
            if len(found) == 1
        }
        """The handler of what one handler wants, and with what its lanes begin, if their keys name
        them."""
        self._max_hops = policies.max_hops
        self._clock = clock
        self._replays = replays
        self._replay_topics = NOWHERE if replays is None else replays.prefix

    def plain(self, deliveries: Sequence[Delivery]) -> Sequence[Job | None]:
        """Make the jobs of what one handler wants and no store knows; None for all that is odd."""
        read, find, farthest = self._reader.read, self._only.get, self._max_hops
        jobs: list[Job | None] = []
        topic, replayed = "", False
        for delivery in deliveries:
            if delivery.topic != topic:
                topic = delivery.topic
                replayed = topic.startswith(self._replay_topics)
            try:
                envelope = None if replayed else read(delivery)
            except Exception:  # noqa: BLE001 -- it is read again, and what is wrong with it is told, by sort
                envelope = None
            if (
                envelope is None
                or envelope.hops > farthest
                or envelope.extensions
                or (found := find(envelope.type)) is None
            ):
                jobs.append(None)
                continue
            handler, number = found
            lane: Hashable = (number, topic, delivery.key)
            if number is None or delivery.key is None:
                lane = self.lane(delivery, envelope, handler)
            # Both are filled in as their constructors do it, in half the time.
            received: Received = _blank(Received)
            received.delivery, received.envelope, received.rare = delivery, envelope, None
            received.size, received.owed, received.flight = len(delivery.body or b""), 1, 0
            received.dropped = received.parked = False
            job: Job = _blank(Job)
            job.received, job.handler, job.lane = received, handler, lane
            job.name = f"{envelope.source}\0{envelope.id}{handler.suffix}"
            job.attempt = job.run = 0
            job.done = False
            job.emitted = job.outbound = ()
            job.reason = job.key = job.order = job.line = job.parked = None
            job.ending = job.fingerprint = job.rare = None
            jobs.append(job)
        return jobs

    def _number(self, handler: Handler) -> int | None:
        if handler.apart or not self._native_key:
            return None
        return handler.index if self._by_handler else -1

    def sort(self, delivery: Delivery) -> Sorted:
        """Find the envelope and the handlers of *delivery*, or why it has none; never raises."""
        if self._replays is not None and self._replays.holds(delivery.topic):
            return self._replayed(delivery, self._replays)
        return self._sorted(delivery)

    def _sorted(self, delivery: Delivery) -> Sorted:  # noqa: PLR0911 -- a list of cases
        try:
            envelope = self._reader.read(delivery)
        except UnsupportedSpecVersion as error:
            return Sorted(None, reason=Reason.UNSUPPORTED_SPECVERSION, error=error)
        except DecodeError as error:
            return Sorted(None, reason=Reason.MALFORMED, error=error)
        except Exception as error:
            # The attempt to read: whatever bytes can make a reader do must not stop the service.
            logger.exception("an envelope could not be read", extra={"topic": delivery.topic})
            return Sorted(None, reason=Reason.MALFORMED, error=error)
        if envelope is None:
            return self._foreign()
        handlers = self._routes.get(envelope.type)
        if handlers is None:
            try:
                handlers = self._newer(envelope)
            except UnknownVersion as error:
                return Sorted(envelope, reason=Reason.UNKNOWN_VERSION, error=error)
            if not handlers:
                return self._unrouted(envelope)
        if envelope.hops > self._max_hops:
            return self._too_far(envelope)
        extensions = envelope.extensions
        if extensions and "expirytime" in extensions and self._expired(extensions["expirytime"]):
            return Sorted(envelope, outcome=Outcome.EXPIRED)
        return Sorted(envelope, handlers)

    def lane(
        self, delivery: Delivery, envelope: Envelope | None, handler: Handler | None
    ) -> Hashable:
        """Name what must stay in order: topic and key, or the stream where there is no key.

        Where numbers keep an order that is not the key's, it is theirs.
        """
        index = handler.index if handler is not None and self._by_handler else -1
        if self._native_key:
            key: object = delivery.key
        else:
            key = None if envelope is None else envelope.key
        if handler is not None and handler.apart and envelope is not None and envelope.sequence:
            return (index, envelope.source, envelope.stream_id)
        if key is not None:
            return (index, delivery.topic, key)
        return (index, delivery.stream if self._native_key else delivery.topic)

    def _replayed(self, delivery: Delivery, replays: Replays) -> Sorted:
        """Sort a replay as what it was; it ends with its handler or in the dead letters again."""
        try:
            replay = replays.read(delivery)
        except DecodeError as spoilt:
            return Sorted(None, reason=Reason.MALFORMED, error=spoilt)
        if replay is None:
            return Sorted(None, outcome=Outcome.IGNORED)
        found = self._sorted(replay)
        handlers = [each for each in found.handlers if replay.handler in {None, each.plan.id}]
        if found.outcome is Outcome.EXPIRED and replay.forced and found.envelope is not None:
            handlers = self._handlers(found.envelope, replay)
        reason, error = found.reason, found.error
        if replay.generation > MAX_REPLAYS and not replay.forced:
            text = f"it was replayed {MAX_REPLAYS} times and failed each time"
            reason, error = Reason.REPLAY_LIMIT, ReplayRefused(text)
        elif reason is None and not handlers:
            reason, error = _unhandled(replay, found.outcome)
        if reason is not None:
            handlers = []
        return Sorted(found.envelope, handlers, reason, error, None, replay)

    def _handlers(self, envelope: Envelope, replay: Replayed) -> list[Handler]:
        handlers = self._routes.get(envelope.type) or self._newer(envelope)
        return [each for each in handlers if replay.handler in {None, each.plan.id}]

    def _foreign(self) -> Sorted:
        if self._policies.foreign == "ignore":
            return Sorted(None, outcome=Outcome.IGNORED)
        error = DecodeError(
            "no CloudEvents attributes, and no event on this topic declares how to read it"
        )
        return Sorted(None, reason=Reason.FOREIGN, error=error)

    def _unrouted(self, envelope: Envelope) -> Sorted:
        name, dot, version = envelope.type.rpartition(".v")
        if dot and name in self._versions:
            known = sorted(kind for kind in self._routes if kind.rpartition(".v")[0] == name)
            error = UnknownVersion(
                f"{name} came in version {version[:20]}; this service reads {', '.join(known)}"
            )
            return Sorted(envelope, reason=Reason.UNKNOWN_VERSION, error=error)
        return Sorted(envelope, outcome=Outcome.IGNORED)

    def _too_far(self, envelope: Envelope) -> Sorted:
        error = DecodeError(
            f"{envelope.hops} events led to this one, more than "
            f"max_hops={self._policies.max_hops}: the choreography probably runs in a circle "
            f"through {envelope.type}"
        )
        return Sorted(envelope, reason=Reason.HOP_LIMIT, error=error)

    def _expired(self, text: str) -> bool:
        try:
            due = datetime.fromisoformat(text)
        except ValueError:
            return False
        return due.tzinfo is not None and due < self._clock.now()


def _unhandled(replay: Replayed, outcome: Outcome | None) -> tuple[Reason, Exception]:
    """Tell why a replay goes back: what somebody asked for must not end unseen."""
    if outcome is Outcome.EXPIRED:
        return Reason.EXPIRED, ReplayRefused("its expirytime has passed: only force replays it")
    text = f"nothing in this service handles it as {replay.handler or 'before'} did"
    return Reason.NO_HANDLER, ReplayRefused(text)
