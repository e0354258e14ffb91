"""What a service does with Kafka from its start to its end, and an account of what became of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from choreo.broker import TopicSpec
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost, PublishError
from choreo.message import Message
from choreo_kafka import KafkaBroker
from choreo_kafka.consumer import KafkaConsumer
from tests.kafka.answering import NAMES, Answering
from tests.kafka.ear import Ear, subscription

OPTIONS = (
    "session_timeout=3&stall_timeout=4&close_timeout=1&metadata_age=1&publish_timeout=4"
    "&commit_interval=0.1&connect_timeout=4"
)
TOPIC, HELD = "events", b"held"
PASSING = {3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 56, 72, 89}
"""Codes that say: not now.  No service may end of them."""
AGAIN = (0, 1, 3, 8, 12)
"""What is asked again and again while a service runs: it meets the error there a second time."""


@dataclass(slots=True)
class Account:
    """What a service, over all of its lives, has published, been handed, and been told."""

    accepted: set[bytes] = field(default_factory=set[bytes])
    handed: Counter[bytes] = field(default_factory=Counter[bytes])
    ended: Counter[str] = field(default_factory=Counter[str])
    """Why lives ended that were to go on."""
    given_back: bool = False
    """Whether what was not settled came again."""

    def wrong(self, relay: Answering, code: int, apis: Sequence[int]) -> list[str]:
        """Tell what is not as promised."""
        lost = sorted(self.accepted - self.handed.keys())
        spared = [NAMES[api] for api in apis if not relay.given[api]]
        found = [f"lost {lost}"] if lost else []
        found += [] if self.given_back else ["what was not settled was acknowledged"]
        found += [f"never answered {', '.join(spared)} so"] if spared else []
        if code in PASSING:
            found += [f"a passing trouble ended it: {reason}" for reason in self.ended]
        return found


class Life:
    """One service, which begins anew whenever it has to end."""

    def __init__(self, relay: Answering, options: str = OPTIONS) -> None:
        self.account = Account()
        self._relay = relay
        self._url = f"kafka://{relay.bootstrap}?{options}"

    async def lived(self, code: int, apis: Sequence[int]) -> Account:
        """Begin, publish, handle and end, each request once answered with *code*."""
        for api in apis:
            self._relay.push(api, code)
        await self._until_done(lambda: self._first(code, apis))
        await self._until_done(self._second)
        return self.account

    async def _until_done(self, life: Callable[[], Awaitable[None]]) -> None:
        """Live until a life has come to its end; begin again after a while, as a supervisor."""
        while True:
            try:
                await life()
            except ConnectionLost:
                await asyncio.sleep(0.1)  # a runner connects again by itself
            except (BrokerError, ConfigurationError) as error:
                self.account.ended[f"{type(error).__name__}: {error}"] += 1
                await asyncio.sleep(0.1)
            else:
                return

    async def _first(self, code: int, apis: Sequence[int]) -> None:
        async with KafkaBroker(self._url) as broker:
            await broker.prepare([TopicSpec(name=TOPIC, create=True)])
            async with broker.subscribe(subscription("group", TOPIC), Ear()) as consumer:
                await self._publish(broker, b"first", HELD)
                await self._handle(consumer)
                for api in set(AGAIN) & set(apis):
                    self._relay.push(api, code)
                await self._publish(broker, b"second", b"third")
                await self._handle(consumer)
                while self._relay.waits(AGAIN):
                    await asyncio.sleep(0.05)
                await consumer.flush()

    async def _second(self) -> None:
        """Be handed what the first life has left, and whatever it could not commit."""
        async with (
            KafkaBroker(self._url) as broker,
            broker.subscribe(subscription("group", TOPIC), Ear()) as consumer,
        ):
            await self._publish(broker, b"last")
            while not (self.account.given_back and self.account.handed[b"last"]):
                batch = await consumer.poll(10)
                self.account.given_back |= any(one.body == HELD for one in batch)
                self.account.handed.update(one.body or b"" for one in batch)
                consumer.settle(batch)
            await consumer.flush()

    async def _publish(self, broker: KafkaBroker, *bodies: bytes) -> None:
        """Publish until all is accepted; what is refused was no fault of the message."""
        waiting = [Message(TOPIC, body, body) for body in bodies]
        while waiting:
            try:
                await broker.publish(waiting)
            except PublishError as error:
                left = sorted(error.refused.keys() | error.unknown.keys())
            else:
                left = []
            self.account.accepted |= {one.body or b"" for one in waiting}
            waiting = [waiting[index] for index in left]
            self.account.accepted -= {one.body or b"" for one in waiting}

    async def _handle(self, consumer: KafkaConsumer) -> None:
        """Handle all that was accepted, and settle it but for one event."""
        while self.account.accepted - self.account.handed.keys():
            batch = await consumer.poll(10)
            self.account.handed.update(one.body or b"" for one in batch)
            consumer.settle([one for one in batch if one.body != HELD])
