"""Reading what a broker keeps: the retained messages under a filter, and on request what follows.

The end of the kept messages is not marked in MQTT.  They are sent when a subscription is made, so a
message that we publish to ourselves after that comes behind them: on Mosquitto, which serves a
client from one queue.  Where the broker lets us not do that, the end is taken to be a pause after
the last of them, and a longer one where it has taken the mark and does not bring it; where it sends
kept messages from somewhere else, they may be late by QUIET.
"""

import asyncio

from choreo.broker import TopicFilter
from choreo.environment import Environment
from choreo.errors import ConfigurationError, ConnectionLost
from choreo.message import Delivery, Message
from choreo_mqtt.acks import Acks
from choreo_mqtt.buffer import Buffer
from choreo_mqtt.link import Link
from choreo_mqtt.mapping import delivered, outgoing
from choreo_mqtt.settings import MqttSettings
from choreo_mqtt.wire import (
    QOS,
    REFUSED,
    Client,
    Filter,
    Incoming,
    Loss,
    Opening,
    Retained,
    Welcome,
)

READ_AHEAD = 500
READ_AHEAD_BYTES = 16 * 1024 * 1024
QUIET = 0.25
"""Seconds without a kept message after which no more are expected, once the mark has come."""
UNMARKED = 4 * QUIET
"""The same where there is no mark."""
OVERDUE = 40 * QUIET
"""The same where the broker has taken the mark: it may be held up, or keep the mark from us."""
MARK = "choreo/mark/"
"""Where a browser publishes to itself."""


class Browser:
    """The session of one browsing connection, which leaves nothing behind on the broker."""

    def __init__(
        self,
        topic: TopicFilter,
        opening: Opening,
        settings: MqttSettings,
        environment: Environment,
        *,
        follow: bool,
    ) -> None:
        self._topic = topic
        self._follow = follow
        self._clock = environment.clock
        self._stream = f"mqtt/{opening.client_id}"
        self._mark = MARK + opening.client_id
        self._marked = self._refused = False
        self._acks = Acks()
        self._buffer = Buffer(count=READ_AHEAD, size=READ_AHEAD_BYTES)
        self._client: Client | None = None
        self._latest = self._clock.monotonic()
        self._epoch = 0
        self._failure: ConfigurationError | None = None
        self._news = asyncio.Event()
        self.link = Link(opening, self, settings, environment)

    def __aiter__(self) -> "Browser":
        return self

    async def __anext__(self) -> Delivery:
        while True:
            if self._buffer:
                return self._next()
            if self._failure is not None:
                raise self._failure
            if not self._follow and self._over():
                raise StopAsyncIteration
            await self._wait()

    def _next(self) -> Delivery:
        (delivery,) = self._buffer.take(1)
        client = self._client
        if client is not None:
            if delivery.epoch == self._epoch and self._acks.finish(delivery.position):
                client.acknowledge(self._acks.due())
            if client.paused and self._buffer.roomy:
                self._latest = self._clock.monotonic()
                client.resume()
        return delivery

    def _over(self) -> bool:
        """Whether all kept messages have come: our mark came behind them, and a pause."""
        quiet = self._clock.monotonic() - self._latest
        return quiet >= (QUIET if self._marked else UNMARKED if self._refused else OVERDUE)

    async def _wait(self) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(None if self._follow else QUIET / 4):
                await self._news.wait()
        except TimeoutError:
            pass

    # -- what the connection tells ------------------------------------------------------------

    def opened(self, client: Client, _: Welcome, /) -> None:
        """Begin an epoch."""
        self._epoch += 1
        self._client = client
        self._marked = self._refused = False
        if self._buffer.full:
            client.pause()

    async def ready(self, client: Client, /) -> bool:
        """Subscribe with everything kept, and send our mark."""
        # First without the kept messages, so that the answer is not behind more of them than may
        # be held; what comes from here on is not missed. Then again, with them, unanswered: packets
        # are served in order, so that the mark is behind them all the same.
        name = self._topic.name
        filters = [Filter(name, Retained.NEVER), Filter(self._mark, Retained.NEVER)]
        answer = client.subscribe(filters)
        await asyncio.wait({answer})
        if answer.cancelled():
            raise ConnectionLost(f"the connection broke before we could read {name!r}")
        code, marking = answer.result()
        self._refused = marking >= REFUSED
        if code != QOS:
            raise ConfigurationError(f"the broker does not let us read {name!r} (0x{code:02X})")
        if not self._topic.fresh:
            _ = client.subscribe([Filter(name, Retained.ALWAYS)])
        client.publish(outgoing(Message(topic=self._mark, body=b"")))
        self._latest = self._clock.monotonic()
        return True

    def received(self, incoming: Incoming, /) -> None:
        """Keep what was asked for."""
        position = self._acks.arrived(incoming.mid)
        if incoming.retain or not self._marked:  # what others publish may never end
            self._latest = self._clock.monotonic()
        if incoming.topic == self._mark or not (incoming.retain or self._follow):
            self._marked = self._marked or incoming.topic == self._mark
            if self._acks.finish(position) and self._client is not None:
                self._client.acknowledge(self._acks.due())
        else:
            self._keep(incoming, position)
        self._news.set()

    def _keep(self, incoming: Incoming, position: int) -> None:
        delivery = delivered(incoming, stream=self._stream, position=position, epoch=self._epoch)
        self._buffer.put(delivery, incoming.size)
        if self._buffer.full and self._client is not None:
            self._client.pause()

    def acknowledged(self, _mid: int, code: int, _text: str, /) -> None:
        """Expect no mark that was refused."""
        self._refused = self._refused or code >= REFUSED

    def writable(self) -> None:
        """Nothing waits to be written."""

    def closed(self, _: Loss, /) -> None:
        """Begin anew: what is kept is sent again, what is in the buffer stays valid."""
        self._client = None
        self._acks.restart()

    def refused(self, error: ConfigurationError, /) -> None:
        """End the reading with the broker's reason."""
        self._failure = error
        self._news.set()

    def replaced(self, text: str, /) -> None:
        """Nobody is to be told: the reading goes on."""
