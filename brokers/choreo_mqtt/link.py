"""Keeps one session connected: opens, watches, and opens again, for as long as it is wanted.

Theory of operation.  One task goes round: connect; let the session get ready (subscribe); tick
until the connection has ended, pinging and giving it up when nothing answers; wait a little longer
than last time; again.  Each round makes a new client, so a client that is stuck is never mended but
replaced. The session is told of each opening and closing by the client itself, at once.
"""

import asyncio
import logging
from typing import Protocol

from choreo.delivery.contact import Contact
from choreo.environment import Environment
from choreo.errors import ConfigurationError, ConnectionLost
from choreo_mqtt.heartbeat import Beat, Heartbeat
from choreo_mqtt.paho_client import connect
from choreo_mqtt.reconnect import Backoff
from choreo_mqtt.settings import MqttSettings
from choreo_mqtt.wire import Client, Connect, Loss, Opening, Session

logger = logging.getLogger(__name__)

PATIENCE = 5
"""Refusals in a row by a running broker before an operator is asked for."""
SILENT = 2.0
"""Seconds without an answer to a ping after which contact is held to be lost."""


class LinkedSession(Session, Protocol):
    """A session that takes part in keeping itself connected."""

    async def ready(self, client: Client, /) -> bool:
        """Do what must be done on a fresh connection before it counts as up.

        False asks for another connection at once, now that this one has done its part. Raises
        ConnectionLost to have it replaced, ConfigurationError if that would not help.
        """
        ...

    def refused(self, error: ConfigurationError, /) -> None:
        """Take note that the broker goes on refusing us; it is asked again all the same."""
        ...

    def replaced(self, text: str, /) -> None:
        """Take note that the connection answered nothing and is being replaced."""
        ...


class Link:
    """One session's connection to one broker."""

    def __init__(
        self,
        opening: Opening,
        session: LinkedSession,
        settings: MqttSettings,
        environment: Environment,
        connect: Connect = connect,
        contact: Contact | None = None,
    ) -> None:
        """Keep *session* connected; tell its *contact* of silence, too."""
        self._contact = contact
        self._opening = opening
        self._session = session
        self._settings = settings
        self._clock = environment.clock
        self._connect = connect
        self._backoff = Backoff(
            first=settings.reconnect_delay.total_seconds(),
            longest=settings.reconnect_delay_max.total_seconds(),
            random=environment.random,
        )
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._given_up = False

    @property
    def client_id(self) -> str:
        """The id under which the broker knows us."""
        return self._opening.client_id

    @property
    def client(self) -> Client | None:
        """The client, while it is connected and ready."""
        client = self._client
        return None if client is None or client.ended.done() else client

    async def start(self) -> None:
        """Connect for the first time; raise ConnectionLost or ConfigurationError if that fails."""
        client = await self._open()
        self._task = asyncio.create_task(
            self._keep(client), name=f"mqtt link {self._opening.client_id}"
        )

    async def close(self, *, forget: bool = False) -> None:
        """Say goodbye and end, in bounded time; *forget* ends the session on the broker, too."""
        self._given_up = True
        client, self._client = self._client, None
        try:
            if client is not None:
                await client.disconnect(self._settings.close_timeout, forget=forget)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait({self._task})

    def give_up(self, text: str) -> None:
        """End the connection and make no other."""
        self._given_up = True
        self.replace(text)

    def replace(self, text: str) -> None:
        """Cut the connection so that a new one is made."""
        if self._client is not None:
            self._client.abort(text)

    async def _keep(self, client: Client) -> None:
        while True:
            started = self._clock.monotonic()
            loss = await self._watch(client)
            if self._given_up:
                return
            logger.warning(
                "MQTT connection lost, connecting again",
                extra={"client_id": self._opening.client_id, "loss": loss.text},
            )
            lasted = self._clock.monotonic() - started
            again = await self._open_again(self._backoff.failed(lasted=lasted))
            if again is None:
                return
            client = again

    async def _open_again(self, pause: float) -> Client | None:
        """Try for as long as it takes; None when it is no longer wanted."""
        refusals = 0
        while True:
            await self._clock.sleep(pause)
            if self._given_up:
                return None
            try:
                return await self._open()
            except ConfigurationError as error:
                refusals += 1
                if refusals >= PATIENCE:
                    self._session.refused(error)
            except ConnectionLost as error:
                refusals = 0
                logger.info(
                    "MQTT broker cannot be reached",
                    extra={"client_id": self._opening.client_id, "error": str(error)},
                )
            except Exception:  # a task boundary: a bug must not leave us unconnected for ever
                logger.exception("connecting failed", extra={"client_id": self._opening.client_id})
            pause = self._backoff.failed()

    async def _open(self) -> Client:
        while True:
            client = await self._connect(self._opening, self._session)
            self._client = client
            try:
                async with asyncio.timeout(self._opening.timeout.total_seconds()):
                    ready = await self._session.ready(client)
            except TimeoutError as error:
                client.abort("the broker did not answer")
                raise ConnectionLost("connected, but the broker does not answer") from error
            except BaseException:
                client.abort("it did not get ready")
                raise
            if ready:
                return client
            await client.disconnect(self._settings.close_timeout)

    async def _watch(self, client: Client) -> Loss:
        settings = self._settings
        keepalive = client.keepalive.total_seconds()
        interval = keepalive / 2
        tick = min(1.0, keepalive / 4, settings.ping_timeout.total_seconds() / 4)
        heartbeat = Heartbeat(
            interval=interval,
            timeout=settings.ping_timeout.total_seconds(),
            longest_tick=2 * tick,
            now=self._clock.monotonic(),
        )
        while True:
            await asyncio.wait({client.ended}, timeout=tick)
            if client.ended.done():
                return client.ended.result()
            beat = heartbeat.tick(
                now=self._clock.monotonic(), heard=client.heard, paused=client.paused
            )
            if self._contact is not None:
                self._listen(self._contact, heartbeat)
            if beat is Beat.DEAD:
                text = f"nothing came within {settings.ping_timeout} of a ping"
                self._session.replaced(text)
                client.abort(text)
            elif beat is Beat.PING:
                # Anything heard is an answer, so that nobody waits for this one.
                _ = client.ping()

    def _listen(self, contact: Contact, heartbeat: Heartbeat) -> None:
        if heartbeat.unanswered > SILENT:
            contact.lost(f"nothing came for {heartbeat.quiet:.0f} s", heartbeat.quiet)
        elif not heartbeat.unanswered:
            contact.found()
