"""The adapter: what choreo's port promises, on MQTT 5."""

import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Self

from choreo.broker import (
    Binding,
    Broker,
    Capabilities,
    Consumer,
    Listener,
    Notice,
    Subscription,
    TopicFilter,
    TopicSpec,
)
from choreo.environment import Environment
from choreo.errors import BrokerError, ConfigurationError
from choreo.message import Delivery, Message
from choreo_mqtt.browse import Browser
from choreo_mqtt.consumer import MqttConsumer
from choreo_mqtt.publisher import MqttPublisher
from choreo_mqtt.settings import MqttSettings
from choreo_mqtt.topics import filter_problem, name_problem
from choreo_mqtt.wire import Opening

logger = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.", "::1")


class MqttBroker:
    """One MQTT 5 broker, spoken to at QoS 1.

    Publishing has one connection with a session of its own; each subscription has another, under a
    client id that stays the same, so that the broker keeps what comes while it is away.
    """

    def __init__(self, url: str, *, environment: Environment | None = None) -> None:
        """Read ``mqtt[s]://[user:password@]host[:port][?option=value&…]``; see MqttSettings."""
        self._settings = MqttSettings.from_url(url)
        self._environment = environment or Environment()
        self._tls = self._settings.tls_context()
        self._publisher: MqttPublisher | None = None
        self._consumers: list[MqttConsumer] = []

    def __repr__(self) -> str:
        return f"MqttBroker({self.url!r})"

    @property
    def url(self) -> str:
        return self._settings.address

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            binding=Binding.MQTT,
            system="mqtt",
            keys=False,
            durable=True,
            resumes=True,
            groups=False,
            binary_headers=False,
            tombstones=False,
            topic_levels=True,
            retained=True,
            browsable=False,
            remembers=False,
            tells_outages=True,
        )

    async def __aenter__(self) -> Self:
        settings = self._settings
        if settings.username and not settings.tls and not settings.host.startswith(LOOPBACK):
            logger.warning(
                "credentials go over the network in the clear", extra={"broker": self.url}
            )
        opening = self._opening(self._throw_away_id("publish"), clean=True)
        publisher = MqttPublisher(opening, settings, self._environment, self._notice)
        await publisher.open()
        self._publisher = publisher
        return self

    async def __aexit__(self, *exc: object) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Check that each name can be published or subscribed to: topics need no creating here."""
        wrong = [
            f"{spec.name!r} {problem}"
            for spec in topics
            if (problem := name_problem(spec.name) and filter_problem(spec.name)) is not None
        ]
        if wrong:
            raise ConfigurationError(f"no MQTT topics: {'; '.join(wrong)}")

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:  # noqa: ARG002 -- the same for all
        """Tell how long a session keeps what was not acknowledged."""
        return self._settings.session_expiry

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once the broker has accepted every message, in order within a topic."""
        await self._opened().publish(messages)

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[Consumer]:
        """Resume the group's session, or begin it; see the port."""
        publisher = self._opened()
        _check(subscription.topics)
        client_id = self._settings.client_id or f"choreo-{subscription.group}"
        if any(consumer.link.client_id == client_id for consumer in self._consumers):
            raise ConfigurationError(
                f"client id {client_id!r} is in use by another subscription of this broker"
            )
        opening = self._opening(client_id, clean=False, span=subscription.max_span)
        consumer = MqttConsumer(
            subscription,
            listener,
            opening,
            self._settings,
            self._environment,
            publisher.connection,
        )
        self._consumers.append(consumer)
        try:
            await consumer.link.start()
            yield consumer
        finally:
            try:
                await consumer.close()
            finally:
                self._consumers.remove(consumer)

    @asynccontextmanager
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Read the values the broker keeps under *topic*, and with *follow* what comes after."""
        self._opened()
        _check((topic,))
        opening = self._opening(self._throw_away_id("browse"), clean=True)
        browser = Browser(topic, opening, self._settings, self._environment, follow=follow)
        try:
            await browser.link.start()
            yield browser
        finally:
            await browser.link.close()

    def _opening(self, client_id: str, *, clean: bool, span: int = 65535) -> Opening:
        settings = self._settings
        return Opening(
            host=settings.host,
            port=settings.port,
            tls=self._tls,
            username=settings.username,
            password=settings.password,
            client_id=client_id,
            clean_start=clean,
            session_expiry=timedelta(0) if clean else settings.session_expiry,
            receive_maximum=max(1, min(settings.receive_maximum, span)),
            keepalive=settings.keepalive,
            timeout=settings.connect_timeout,
        )

    def _throw_away_id(self, purpose: str) -> str:
        return f"{self._settings.client_id or 'choreo'}-{purpose}-{secrets.token_hex(6)}"

    def _opened(self) -> MqttPublisher:
        if self._publisher is None:
            raise BrokerError(f"{self!r} is not open: enter it with 'async with' first")
        return self._publisher

    def _notice(self, notice: Notice) -> None:
        """Tell all who listen; a broker that only publishes has the log."""
        if not self._consumers:
            logger.warning("broker notice", extra={"kind": notice.kind, "text": notice.text})
        for consumer in self._consumers:
            consumer.listener.notice(notice)


def _check(topics: Sequence[TopicFilter]) -> None:
    wrong = [
        f"{each.name!r} {problem}"
        for each in topics
        if (problem := filter_problem(each.name)) is not None
    ]
    if wrong or not topics:
        raise ConfigurationError(
            f"cannot subscribe: {'; '.join(wrong) or 'no topics are asked for'}"
        )


_: type[Broker] = MqttBroker
