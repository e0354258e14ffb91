"""Publishing at QoS 1 with an own window, each message's fate told by its PUBACK.

Theory of operation.  Publishing has a connection of its own: a consumer that reads nothing because
its buffer is full would not read the answers to its own publishes either, and they are what it
waits for. That connection starts clean and its session ends with it, so no side can send anything
again later: a message whose fate became unknown was stored once or not at all.

Calls send in the order in which they came, each message when the window has room (M16, M18).  A
call ends when each of its messages was answered, when its connection is gone, or when nothing moved
for ``publish_timeout``: what is unanswered then is *unknown*, the unsent included, so that whoever
sends again sends in order.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from choreo.broker import Notice
from choreo.environment import Environment
from choreo.errors import ConfigurationError, PublishError
from choreo.message import Message
from choreo_mqtt.link import Link
from choreo_mqtt.mapping import Unsendable, outgoing
from choreo_mqtt.settings import MqttSettings
from choreo_mqtt.wire import (
    NO_SUBSCRIBERS,
    REFUSED,
    Client,
    Incoming,
    Loss,
    Opening,
    Outgoing,
    Welcome,
)

logger = logging.getLogger(__name__)

REPORT_EVERY = 60.0
"""Seconds between two notices about the same topic without subscribers."""
REPORTED_TOPICS = 1000


class Call:
    """One call of publish: what is to be sent, and what became of it."""

    __slots__ = ("done", "moved", "open", "refused", "unknown", "waiting")

    def __init__(self, now: float) -> None:
        self.waiting: deque[tuple[int, Outgoing]] = deque()
        self.open: set[int] = set()
        self.refused: dict[int, str] = {}
        self.unknown: dict[int, str] = {}
        self.moved = now
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(self, index: int, now: float) -> None:
        """Note that the broker has answered the message at *index*."""
        self.moved = now
        self.open.discard(index)
        if not self.open and not self.waiting and not self.done.done():
            self.done.set_result(None)

    def lost(self, text: str) -> None:
        """Note that no answer will come any more, for whatever reason *text* says."""
        self.unknown.update(dict.fromkeys(self.open, text))
        self.unknown.update((index, f"{text}; not sent") for index, _ in self.waiting)
        self.open.clear()
        self.waiting.clear()
        if not self.done.done():
            self.done.set_result(None)


class MqttPublisher:
    """The session of the publishing connection."""

    def __init__(
        self,
        opening: Opening,
        settings: MqttSettings,
        environment: Environment,
        notice: Callable[[Notice], None],
    ) -> None:
        self._settings = settings
        self._clock = environment.clock
        self._notice = notice
        self._client: Client | None = None
        self._window = 0
        self._largest: int | None = None
        self._retains = True
        self._inflight: dict[int, tuple[Call, int, Outgoing]] = {}
        self._calls: deque[Call] = deque()
        self._answered = self._clock.monotonic()
        self._reported: OrderedDict[str, float] = OrderedDict()
        self._closed = False
        self._epoch = 0
        self.link = Link(opening, self, settings, environment)

    # -- publishing ---------------------------------------------------------------------------

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return once the broker has accepted all of *messages*, in order; else PublishError."""
        call = Call(self._clock.monotonic())
        for index, message in enumerate(messages):
            try:
                call.waiting.append((index, outgoing(message)))
            except Unsendable as error:
                call.refused[index] = str(error)
        if call.waiting:
            if self._closed:
                call.lost("the broker object is closed")
            else:
                self._calls.append(call)
                self._send()
                await self._answer(call)
        if call.refused or call.unknown:
            raise PublishError(_summary(messages, call), refused=call.refused, unknown=call.unknown)

    async def _answer(self, call: Call) -> None:
        timeout = self._settings.publish_timeout.total_seconds()
        try:
            while not call.done.done():
                left = call.moved + timeout - self._clock.monotonic()
                if left > 0:
                    await asyncio.wait({call.done}, timeout=left)
                    continue
                sent = bool(call.open)
                call.lost(self._why_late(sent=sent))
                if sent and self._clock.monotonic() - self._answered >= timeout:
                    # It takes publishes and answers none: what hangs is the connection.
                    self.link.replace("publishes are not answered")
        finally:
            # Cancelled or late: what was sent keeps its place in the window until it is answered.
            call.waiting.clear()
            if call in self._calls:
                self._calls.remove(call)

    def _why_late(self, *, sent: bool) -> str:
        timeout = self._settings.publish_timeout
        if sent:
            return f"the broker did not answer within {timeout}"
        if self._client is None:
            return f"not connected for {timeout}"
        return f"no room in the window of {self._window} for {timeout}"

    def _send(self) -> None:
        """Send what the window and the connection have room for."""
        client = self._client
        while client is not None and self._calls and not client.congested:
            call = self._calls[0]
            while call.waiting and len(self._inflight) < self._window:
                index, message = call.waiting.popleft()
                problem = self._problem(message)
                if problem is not None:
                    call.refused[index] = problem
                    call.answered(index, self._clock.monotonic())
                    continue
                call.open.add(index)
                self._inflight[client.publish(message)] = (call, index, message)
                if client.congested:
                    break
            if call.waiting:
                return
            self._calls.popleft()

    def _problem(self, message: Outgoing) -> str | None:
        if self._largest is not None and message.size > self._largest:
            return f"{message.size} bytes are more than the broker's maximum of {self._largest}"
        if message.retain and not self._retains:
            return "the broker keeps no retained messages"
        return None

    # -- what the connection tells ------------------------------------------------------------

    def opened(self, client: Client, welcome: Welcome, /) -> None:
        """Size the window and send what waits."""
        self._epoch += 1
        self._client = client
        self._answered = self._clock.monotonic()
        self._window = min(self._settings.publish_window, welcome.receive_maximum)
        self._largest = welcome.maximum_packet_size
        self._retains = welcome.retain_available
        qos_0_only = welcome.maximum_qos < 1
        if qos_0_only:
            self._window = 0

    async def ready(self, _: Client, /) -> bool:
        """Send what waits; a broker without QoS 1 is refused."""
        if not self._window:
            raise ConfigurationError(
                f"{self._settings.address} does not take QoS 1: nothing sent to it is safe"
            )
        self._send()
        return True

    def received(self, incoming: Incoming, /) -> None:
        """Drop it: this connection subscribes to nothing."""

    def acknowledged(self, mid: int, code: int, text: str, /) -> None:
        """Tell the call that waits for it, and send more."""
        now = self._answered = self._clock.monotonic()
        sent = self._inflight.pop(mid, None)
        if sent is None:
            return
        call, index, message = sent
        if code >= REFUSED:
            call.refused[index] = text
        elif code == NO_SUBSCRIBERS and not message.retain:
            self._nobody(message.topic)
        call.answered(index, now)
        if self._calls:
            self._send()

    def writable(self) -> None:
        """Send more."""
        self._send()

    def closed(self, loss: Loss, /) -> None:
        """Let every call know that what was sent, and what was to follow it, has no answer."""
        self._client = None
        for call, _, _ in self._inflight.values():
            call.lost(loss.text)
        self._inflight.clear()
        self._calls = deque(call for call in self._calls if not call.done.done())

    def refused(self, error: ConfigurationError, /) -> None:
        """Say so; publishes fail for want of a connection meanwhile."""
        logger.error("MQTT broker refuses to let us publish", extra={"error": str(error)})

    def replaced(self, text: str, /) -> None:
        """Tell the operator."""
        self._notice(Notice(kind="rebuilt", text=f"publishing connection replaced: {text}"))

    def connection(self) -> int | None:
        """Tell the number of the connection that is up, or None."""
        return None if self._client is None else self._epoch

    # -- life ---------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect; raises ConnectionLost or ConfigurationError."""
        await self.link.start()

    async def close(self) -> None:
        """Let go; calls still waiting learn that nothing is known."""
        self._closed = True
        try:
            await self.link.close()
        finally:
            for call in self._calls:
                call.lost("the broker object was closed")
            self._calls.clear()

    def _nobody(self, topic: str) -> None:
        """Report a topic without subscribers, now and then."""
        now = self._clock.monotonic()
        last = self._reported.pop(topic, None)
        if last is not None and now - last < REPORT_EVERY:
            self._reported[topic] = last
            return
        self._reported[topic] = now
        if len(self._reported) > REPORTED_TOPICS:
            self._reported.popitem(last=False)
        self._notice(
            Notice(kind="no_subscribers", text=f"accepted on {topic!r}, where nobody subscribes")
        )


def _summary(messages: Sequence[Message], call: Call) -> str:
    parts: list[str] = []
    for word, fates in (("refused", call.refused), ("of unknown fate", call.unknown)):
        if fates:
            index = min(fates)
            parts.append(
                f"{len(fates)} {word}, the first to {messages[index].topic[:100]!r}: {fates[index]}"
            )
    return f"of {len(messages)} messages {'; '.join(parts)}"
