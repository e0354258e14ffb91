"""One subscription: messages in, acknowledgements out, over as many connections as it takes.

Theory of operation.  Every connection is an epoch.  What arrives gets a position, waits in a
bounded buffer until it is asked for, and is acknowledged when all before it is done.  A full buffer
stops the reading of the socket, because Receive Maximum alone bounds nothing on Mosquitto 2.0.11;
pings go on. When a connection is lost, its buffer is dropped and its acknowledgements are void: the
broker sends all of it again.  The listener then ends what it has of the old epoch, and only after
that is anything of the new one handed over, so that nothing runs twice at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from choreo.broker import Consumer, Listener, Notice, Progress, Subscription
from choreo.delivery.contact import Contact
from choreo.environment import Environment
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost
from choreo.message import Delivery
from choreo_mqtt.acks import Acks
from choreo_mqtt.buffer import Buffer
from choreo_mqtt.link import Link
from choreo_mqtt.mapping import delivered
from choreo_mqtt.settings import MqttSettings
from choreo_mqtt.sieve import Sieve
from choreo_mqtt.takeovers import Takeovers
from choreo_mqtt.topics import ungranted
from choreo_mqtt.wire import (
    SESSION_TAKEN_OVER,
    Client,
    Filter,
    Incoming,
    Loss,
    Opening,
    Retained,
    Welcome,
)

logger = logging.getLogger(__name__)

Kind = Literal["session_lost", "rebuilt", "revoked", "taken_over", "connection_lost", "reconnected"]


class MqttConsumer:
    """The session of one subscription."""

    def __init__(
        self,
        subscription: Subscription,
        listener: Listener,
        opening: Opening,
        settings: MqttSettings,
        environment: Environment,
        elsewhere: Callable[[], int | None],
    ) -> None:
        """Build it unconnected.

        *elsewhere* numbers another connection to the same broker, while it is up: one that stays up
        while ours is closed without a word tells a takeover from a broker that went away.
        """
        self._subscription = subscription
        self.listener = listener
        self._clock = environment.clock
        self._close_timeout = settings.close_timeout
        self._elsewhere = elsewhere
        self._asked = tuple(each.name for each in subscription.topics)
        self._sieve = Sieve(subscription.topics, opening.client_id)
        self._acks = Acks()
        self._buffer = Buffer(count=subscription.read_ahead, size=subscription.read_ahead_bytes)
        self._stream = f"mqtt/{opening.client_id}"
        self._client: Client | None = None
        self._present = self._getting_ready = self._overflowed = False
        self._epoch = 0
        self._handed = 0
        self._subscribed = False
        self._stopped = self._closing = False
        self._failure: BrokerError | None = None
        self._takeovers = Takeovers()
        self._contact = Contact(self._notice)
        self._flushing = False
        self._waiter: asyncio.Future[None] | None = None
        self._revocation: asyncio.Task[None] | None = None
        self.link = Link(opening, self, settings, environment, contact=self._contact)

    # -- the port -----------------------------------------------------------------------------

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for messages; see the port."""
        while True:
            if self._stopped:
                return ()
            if self._failure is not None:
                raise self._failure
            room = self._room(limit)
            if room > 0:
                return self._hand_over(room)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        """Finish *deliveries*; those of an earlier connection are void."""
        epoch = self._epoch
        grown = False
        for delivery in deliveries:
            if delivery.epoch == epoch:
                grown |= self._acks.finish(delivery.position)
        if grown:
            self._acknowledge_soon()
            self._wake()

    def stop_intake(self) -> None:
        """Hand over nothing more."""
        self._stopped = True
        self._wake()

    async def flush(self) -> None:
        """Send every acknowledgement that is due, and see that the broker has got them.

        The answer to a ping comes behind what was sent before it. A buffer that is full keeps us
        from reading it, and then nothing is waited for.
        """
        self._acknowledge()
        client = self._client
        if client is not None and not client.paused:
            await asyncio.wait({client.ping()}, timeout=self._close_timeout.total_seconds())

    def progress(self) -> Sequence[Progress]:
        """Say where the stream stands; MQTT knows no end."""
        settled = self._acks.position
        handed = max(settled, self._handed)
        return (Progress(stream=self._stream, settled=settled, handed=handed, end=None),)

    # -- handing over -------------------------------------------------------------------------

    def _room(self, limit: int) -> int:
        """How many messages may be handed over now."""
        if self._revocation is not None or not self._buffer:
            return 0
        span = self._subscription.max_span - (self._handed - self._acks.position)
        return min(limit, span)

    def _hand_over(self, limit: int) -> Sequence[Delivery]:
        taken = self._buffer.take(limit)
        self._handed = taken[-1].position + 1
        client = self._client
        if client is not None and client.paused and self._buffer.roomy:
            client.resume()
        return taken

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- acknowledging ------------------------------------------------------------------------

    def _acknowledge_soon(self) -> None:
        """Acknowledge once in this turn of the loop, however much is settled in it."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._acknowledge)

    def _acknowledge(self) -> None:
        self._flushing = False
        if self._client is not None:
            self._client.acknowledge(self._acks.due())

    # -- what the connection tells ------------------------------------------------------------

    def opened(self, client: Client, welcome: Welcome, /) -> None:
        """Begin an epoch; with a session at hand, its backlog follows at once (M10)."""
        self._epoch += 1
        self._client = client
        self._present = welcome.session_present
        if welcome.session_expiry is not None:
            logger.warning(
                "the broker keeps sessions for another time than asked for",
                extra={
                    "client_id": self.link.client_id,
                    "seconds": welcome.session_expiry.total_seconds(),
                },
            )
        # Known at once, because the backlog may come in the very bytes that brought the welcome.
        self._getting_ready = not (self._subscribed and welcome.session_present)
        self._overflowed = False

    async def ready(self, client: Client, /) -> bool:
        """See that the broker has our filters, all of them granted at QoS 1 (M9)."""
        again, present = self._subscribed, self._present
        self._judge_takeover()
        if again and not present:
            self._notice(
                "session_lost",
                f"the broker has no session {self.link.client_id!r} any more: what it kept while "
                "we were away, and what we had not settled, is lost",
            )
        if not (again and present):
            self._subscribed = False
            await self._subscribe(client, fresh=not present)
            self._subscribed = True
        if self._overflowed:
            return False
        self._getting_ready = False
        if self._client is client:
            self._contact.found()
        self._failure = None
        return True

    def received(self, incoming: Incoming, /) -> None:
        """Put it into the buffer, unless it is a kept value or a topic that nobody asked for."""
        if self._buffer.full and self._getting_ready:
            # The answer to our SUBSCRIBE is behind more backlog than we may hold. Read on to it,
            # keep nothing, and have all of it sent again on a connection that need not subscribe.
            self._overflowed = True
            return
        acks = self._acks
        position = acks.arrived(incoming.mid)
        if not self._sieve.passes(incoming):
            if acks.finish(position):
                self._acknowledge_soon()
            return
        delivery = delivered(incoming, stream=self._stream, position=position, epoch=self._epoch)
        self._buffer.put(delivery, incoming.size)
        if self._buffer.full and self._client is not None and not self._getting_ready:
            self._client.pause()
        if self._waiter is not None:
            self._wake()

    def acknowledged(self, mid: int, code: int, text: str, /) -> None:
        """Drop it: this connection publishes nothing."""

    def writable(self) -> None:
        """Nothing waits to be written."""

    def closed(self, loss: Loss, /) -> None:
        """End the epoch: void its acknowledgements, and have the listener end its work."""
        self._client = None
        if not self._closing:
            self._contact.lost(f"connection lost: {loss.text}")
        self._buffer.clear()
        unsettled = self._handed > self._acks.position
        self._epoch += 1
        self._acks.restart()
        self._handed = max(self._handed, self._acks.position)
        once_too_often = self._takeovers.closed(
            certain=loss.code == SESSION_TAKEN_OVER,
            silent=loss.silent,
            elsewhere=self._elsewhere(),
            now=self._clock.monotonic(),
        )
        if once_too_often:
            self._yield_id()
        if unsettled and self._revocation is None and not self._closing:
            self._contact.hold()
            self._revocation = asyncio.create_task(self._revoke(), name=f"revoke {self._stream}")

    def refused(self, error: ConfigurationError, /) -> None:
        """Let the next poll say so, until the broker takes us again."""
        self._fail(f"the broker goes on refusing us: {error}")

    def replaced(self, text: str, /) -> None:
        """Tell the operator."""
        self._notice("rebuilt", f"connection replaced: {text}")

    # -- life ---------------------------------------------------------------------------------

    async def close(self, *, forget: bool = False) -> None:
        """Acknowledge what is settled and leave; the session stays, unless *forget*."""
        self._closing = True
        self.stop_intake()
        self._acknowledge()
        try:
            await self.link.close(forget=forget)
        finally:
            if self._revocation is not None:
                self._revocation.cancel()
                await asyncio.wait({self._revocation})

    # -- judging ------------------------------------------------------------------------------

    async def _subscribe(self, client: Client, *, fresh: bool) -> None:
        filters = [
            Filter(each.name, Retained.IF_NEW if each.retained else Retained.NEVER)
            for each in self._subscription.topics
        ]
        answer = client.subscribe(filters)
        # Not awaited itself: it is cancelled with the connection, and we are not (A4).
        await asyncio.wait({answer})
        if answer.cancelled():
            raise ConnectionLost("the connection broke before our filters were granted")
        if refused := ungranted(self._asked, answer.result()):
            if fresh:
                # Else the broker would go on collecting for the filters it did grant.
                await client.disconnect(self._close_timeout, forget=True)
            raise ConfigurationError(
                f"the broker does not let {self.link.client_id!r} subscribe to {', '.join(refused)}"
            )

    def _judge_takeover(self) -> None:
        taken_over = self._takeovers.judge(
            session_present=self._present,
            elsewhere=self._elsewhere(),
            now=self._clock.monotonic(),
        )
        if taken_over:
            self._notice_takeover()

    def _notice_takeover(self) -> None:
        self._notice("taken_over", f"another connection uses the client id {self.link.client_id!r}")

    def _yield_id(self) -> None:
        """Leave the session to who came later; coming back would only throw it out, too."""
        self._notice_takeover()
        text = (
            f"the client id {self.link.client_id!r} is used by another process, which has taken "
            "over: run one process per group on MQTT, or give each its own client_id"
        )
        self._fail(text)
        self.link.give_up(text)

    def _fail(self, text: str) -> None:
        self._failure = BrokerError(text)
        self._wake()

    async def _revoke(self) -> None:
        """Have the listener end what it has of an earlier connection; only then goes it on."""
        drain = self._subscription.drain
        self._notice("revoked", "connection lost: all that is unsettled comes again")
        try:
            async with asyncio.timeout(drain.total_seconds()):
                await self.listener.revoking((self._stream,))
        except TimeoutError:
            logger.warning(
                "work of a lost connection did not end in time; it may run twice",
                extra={"stream": self._stream, "drain": drain.total_seconds()},
            )
        finally:
            self._revocation = None
            self._contact.rested()
            self._wake()

    def _notice(self, kind: Kind, text: str, unheard: float = 0.0, /) -> None:
        streams = (self._stream,)
        self.listener.notice(Notice(kind=kind, text=text, streams=streams, unheard=unheard))


_: type[Consumer] = MqttConsumer
