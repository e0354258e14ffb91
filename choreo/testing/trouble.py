"""A broker that makes trouble for the services of a world, as seeded and as bad as is asked for.

What it does is what any real broker does on a bad day, and what handlers must stand: a message
comes twice, others overtake it where no key forbids it, a publication takes its time, and a process
dies after it has handled events and before it has said so.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Self

from choreo.broker import Broker, Consumer, Listener, Subscription
from choreo.dead_letter import is_dead_letter_topic
from choreo.errors import ConfigurationError, PublishError
from choreo.message import Delivery, Message
from choreo.testing.delegation import DelegatingBroker, DelegatingConsumer

MOST_DELAY = 5.0
SOONEST, LATEST = 1, 3
"""Deliveries that a service settles before it dies, at random between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What may go wrong in a world; without anything, nothing does."""

    duplicates: float = 0.0
    """Share of messages that come twice, from 0 to 1; the first always does."""
    reorder: float = 0.0
    """Share of messages that overtake those of other keys, from 0 to 1."""
    delay: float = 0.0
    """Seconds that publishing takes at the most."""
    crash: int = 0
    """How often each service dies and is started again."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("duplicates", "reorder"):
            share: float = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigurationError(f"{name}={share!r}: give a share from 0 to 1")
        if not 0 <= self.delay <= MOST_DELAY:
            raise ConfigurationError(f"delay={self.delay!r}: give seconds, up to {MOST_DELAY:g}")
        if self.crash < 0:
            raise ConfigurationError(f"crash={self.crash!r}: give how often, from 0")

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong."""
        return not (self.duplicates or self.reorder or self.delay or self.crash)


class Bites:
    """What trouble a world has had, so that a test can tell whether there was any."""

    def __init__(self) -> None:
        self.duplicates = 0
        self.overtakings = 0
        self.delays = 0
        self.crashes = 0

    def __str__(self) -> str:
        """Tell it in one line."""
        told = (f"{count} {name}" for name, count in vars(self).items() if count)
        return ", ".join(told) or "nothing went wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Whom a troubled broker tells what the services must not know."""

    repeated: Callable[[Sequence[Message]], None]
    """Messages are on the broker once more."""
    unsettled: Callable[[Sequence[Delivery]], None]
    """Deliveries were settled by a process that is dead: they come again."""
    died: Callable[[], None] | None
    """The process is dead, and must be replaced; None if it is to live."""


class TroubledBroker(DelegatingBroker):
    """The broker of one life of one service."""

    def __init__(self, broker: Broker, trouble: Trouble, dice: Random, bites: Bites) -> None:
        super().__init__(broker)
        self._trouble = trouble
        self._dice = dice
        self._bites = bites
        self._hooks: Hooks | None = None
        self._left = -1
        """Deliveries to settle before it dies; below 0: it does not."""

    def watched(self, hooks: Hooks) -> Self:
        """Say whom to tell of what the service must not know."""
        self._hooks = hooks
        if hooks.died is not None:
            self._left = self._dice.randint(SOONEST, LATEST)
        return self

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Publish late, in another order where keys allow it, and some of it twice."""
        if self._trouble.delay:
            self._bites.delays += 1
            await asyncio.sleep(self._dice.random() * self._trouble.delay)
        order = self._order(messages)
        try:
            await self.inner.publish([messages[index] for index in order])
        except PublishError as error:
            raise PublishError(
                str(error),
                refused={order[place]: why for place, why in error.refused.items()},
                unknown={order[place]: why for place, why in error.unknown.items()},
            ) from error
        again = [message for message in messages if self._twice(message)]
        if again:
            if self._hooks is not None:
                self._hooks.repeated(again)
            await self.inner.publish(again)

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[Consumer]:
        """Join the group."""
        async with self.inner.subscribe(subscription, listener) as consumer:
            yield _TroubledConsumer(consumer, self)

    def settles(self, deliveries: Sequence[Delivery]) -> bool:
        """Say whether a settlement counts; the one at which it dies does not, nor any later one."""
        if self._left < 0 or self._hooks is None or self._hooks.died is None:
            return True
        if self._left == 0:
            self._hooks.unsettled(deliveries)
            return False
        self._left = max(0, self._left - len(deliveries))
        if self._left == 0:
            self._bites.crashes += 1
            self._hooks.unsettled(deliveries)
            self._hooks.died()
            return False
        return True

    def _twice(self, message: Message) -> bool:
        if not self._trouble.duplicates or is_dead_letter_topic(message.topic):
            return False
        twice = not self._bites.duplicates or self._dice.random() < self._trouble.duplicates
        self._bites.duplicates += twice
        return twice

    def _order(self, messages: Sequence[Message]) -> Sequence[int]:
        """Draw an order in which no message overtakes one of its own key."""
        order = list(range(len(messages)))
        for place in range(1, len(order)):
            first, second = messages[order[place - 1]], messages[order[place]]
            apart = first.key != second.key or first.key is None
            if apart and self._dice.random() < self._trouble.reorder:
                order[place - 1], order[place] = order[place], order[place - 1]
                self._bites.overtakings += 1
        return order


class _TroubledConsumer(DelegatingConsumer):
    def __init__(self, consumer: Consumer, broker: TroubledBroker) -> None:
        super().__init__(consumer)
        self._broker = broker

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        if self._broker.settles(deliveries):
            self.inner.settle(deliveries)


_: type[Broker] = TroubledBroker
