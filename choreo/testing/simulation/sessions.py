"""Sessions of a simulated MQTT broker: what it keeps for each client, and how much of it flies.

Theory of operation.  A session is a client's, and outlives its connections.  What is published is
put into the queue of every session whose filters match; of a queue so many messages at most are on
their way unacknowledged (Receive Maximum), each under a packet id, and what comes to a full queue
is dropped.  A connection is an epoch: when it is lost, all that was unacknowledged is sent again on
the next one, in the same order and under packet ids given anew, so that an acknowledgement of the
old connection, did it count, would acknowledge another message.  A session may be lost with all
that it holds; whatever is dropped is in the history, as nobody can miss it otherwise.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from choreo.broker import TopicFilter
from choreo.message import Message
from choreo.testing.simulation.history import Entry, History, described, reads
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.weather import Weather
from choreo.testing.simulation.wire import Conditions

KEEPALIVE = 6.0
"""Seconds after which a silent client's connection is closed."""


class Client(Protocol):
    """A subscriber, as its broker sees it."""

    host: Host

    def arrived(self, epoch: int, mid: int, message: Message, /) -> None:
        """Be sent a message; this runs none of its host's code."""
        ...

    def cut(self, epoch: int, /) -> None:
        """Hear that the connection of *epoch* is gone; this runs none of its host's code."""
        ...


@dataclass(slots=True, eq=False)
class Session:
    """What the broker keeps for one client id."""

    group: str
    filters: Sequence[TopicFilter]
    waiting: deque[Message] = field(default_factory=deque[Message])
    flying: dict[int, Message] = field(default_factory=dict[int, Message])
    """By packet id, in the order in which they were sent."""
    client: Client | None = None
    epoch: int = 0
    pipe: deque[tuple[Client, int, int, Message]] = field(
        default_factory=deque[tuple[Client, int, int, Message]]
    )
    """On the way to the client, in order."""
    last: int = 0

    def wants(self, topic: str) -> bool:
        """Say whether one of its filters matches *topic*."""
        return any(reads(one.name, topic) for one in self.filters)


class Sessions:
    """All sessions of one broker, and the values it has kept."""

    def __init__(
        self, conditions: Conditions, history: History, weather: Weather, epochs: Iterator[int]
    ) -> None:
        self._conditions = conditions
        self._history = history
        self._weather = weather
        self._epochs = epochs
        self._sessions: dict[str, Session] = {}
        self.retained: dict[str, Message] = {}

    @property
    def idle(self) -> bool:
        """Say whether nothing waits and nothing flies."""
        return not any(one.waiting or one.flying for one in self._sessions.values())

    def take(self, message: Message) -> None:
        """Put *message* into the queues of those who want it."""
        if message.retain:
            if message.body:
                self.retained[message.topic] = message
            else:
                self.retained.pop(message.topic, None)
        for session in self._sessions.values():
            if not session.wants(message.topic):
                continue
            if len(session.waiting) >= self._weather.queue:
                self._drop(session.group, message, "the queue of its session is full")
            else:
                session.waiting.append(message)
                self._pump(session)
        for group in dict.fromkeys(one.service for one in self._history.subscribers):
            if group not in self._sessions:
                self._drop(group, message, "it has no session")

    async def attach(
        self, client: Client, group: str, filters: Sequence[TopicFilter]
    ) -> tuple[bool, int]:
        """Connect *client*; say whether it has a session already, and which connection this is."""
        session = self._sessions.get(group)
        present = session is not None
        if session is None:
            session = self._sessions[group] = Session(group, tuple(filters))
        elif session.client is not None:
            session.client.cut(session.epoch)  # taken over
        session.client, session.epoch = client, next(self._epochs)
        again, session.flying, session.last = [*session.flying.values()], {}, 0
        if not present:
            kept = [one for one in filters if one.retained]
            again += [m for t, m in self.retained.items() if any(reads(f.name, t) for f in kept)]
        session.waiting.extendleft(reversed(again))
        self._pump(session)
        return present, session.epoch

    async def acknowledge(self, group: str, epoch: int, mids: Sequence[int]) -> None:
        """Forget what was acknowledged, unless that was said on an earlier connection."""
        session = self._sessions.get(group)
        if session is None or session.epoch != epoch:
            return
        for mid in mids:
            session.flying.pop(mid, None)
        self._pump(session)

    def detach(self, client: Client, unheard: float = 0.0) -> bool:
        """End the connection of *client*, which hears of it after a while; its session stays."""
        found = [one for one in self._sessions.values() if one.client is client]
        for session in found:
            self._conditions.later(unheard, partial(client.cut, session.epoch))
            session.client, session.epoch = None, 0  # nothing said on it counts any more
        return bool(found)

    def silent(self, host: Host) -> None:
        """Close the connections of *host* in a while, unless it speaks again by then."""
        silence = host.silence

        def close() -> None:
            if host.silence == silence:
                self.evict(host, 0.0)

        self._conditions.later(KEEPALIVE, close)

    def evict(self, host: Host, unheard: float) -> None:
        """Close the connections of *host*, which hears of it after a while."""
        for session in list(self._sessions.values()):
            if session.client is not None and session.client.host is host:
                self.detach(session.client, unheard)

    def cut(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            if session.client is not None:
                self.detach(session.client)

    def lose(self, group: str) -> None:
        """Forget the session of *group*, and all that it holds."""
        session = self._sessions.pop(group, None)
        if session is None:
            return
        for message in (*session.flying.values(), *session.waiting):
            self._drop(group, message, "its session is lost")
        if session.client is not None:
            session.client.cut(session.epoch)

    def _pump(self, session: Session) -> None:
        client = session.client
        while client is not None and session.waiting and len(session.flying) < self._weather.window:
            message = session.waiting.popleft()
            session.last += 1
            session.flying[session.last] = message
            session.pipe.append((client, session.epoch, session.last, message))
            lag = self._conditions.lag(session.group)
            self._conditions.later(lag, lambda: _arrive(session))

    def _drop(self, group: str, message: Message, why: str) -> None:
        told = {**described(message), "service": group, "handler": ""}
        self._history.add(
            Entry(
                at=self._conditions.loop.time(),
                kind="dropped",
                topic=message.topic,
                text=why,
                **told,  # type: ignore[arg-type] # all of it is text
            )
        )


def _arrive(session: Session) -> None:
    """Have the first of what is on its way arrive: a connection keeps order."""
    client, epoch, mid, message = session.pipe.popleft()
    client.arrived(epoch, mid, message)
