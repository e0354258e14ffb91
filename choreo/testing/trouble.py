"""A broker that makes trouble for the services of a world, as seeded and as bad as is asked for.

What it does is what any real broker does on a bad day, and what handlers must stand: a message
comes twice, others overtake it where no key forbids it, a publication takes its time, and a process
dies: before, within and after its handlers, at commits and publications, and before it has said so.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from choreo.broker import Broker, Consumer, Listener, Subscription
from choreo.dead_letter import is_dead_letter_topic
from choreo.errors import ConfigurationError, PublishError
from choreo.message import Delivery, Message
from choreo.testing.delegation import DelegatingBroker, DelegatingConsumer
from choreo.testing.fate import Stage
from choreo.testing.mortal import Life

MOST_DELAY = 5.0


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
    """How often a service dies for each of its handlers, and is started again."""
    stages: Sequence[str] = ()
    """Where it dies, each seed beginning with the next of them; nothing for every ``Stage``."""
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
        for name in self.stages:
            Stage.named(name)

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
        self.deaths: list[tuple[str, Stage, str]] = []
        """Services that died, at which stage, and with an event of which handler."""

    @property
    def crashes(self) -> int:
        """Count the deaths."""
        return len(self.deaths)

    def __str__(self) -> str:
        """Tell it in one line."""
        counts = {name: getattr(self, name) for name in ("duplicates", "overtakings", "delays")}
        told = [f"{count} {name}" for name, count in counts.items() if count]
        if self.deaths:
            where = "; ".join(
                f"{service} {stage.value.format(handler)}"
                for service, stage, handler in self.deaths
            )
            told.append(f"{self.crashes} crashes: {where}")
        return ", ".join(told) or "nothing went wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Whom a troubled broker tells what the services must not know."""

    repeated: Callable[[Sequence[Message]], None]
    """Messages are on the broker once more."""
    accepted: Callable[[Sequence[Message]], None]
    """Messages are on the broker, and the process that sent them is dead."""
    unsettled: Callable[[Sequence[Delivery]], None]
    """Deliveries were settled by a process that is dead: they come again."""


class TroubledBroker(DelegatingBroker):
    """The broker of one life of one service."""

    def __init__(
        self,
        broker: Broker,
        trouble: Trouble,
        dice: Random,
        bites: Bites,
        hooks: Hooks,
        life: Life | None,
    ) -> None:
        """Trouble a service that dies when *life* has it; None for one that does not."""
        super().__init__(broker)
        self._trouble = trouble
        self._dice = dice
        self._bites = bites
        self._hooks = hooks
        self._life = life

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Publish, unless the process dies of it."""
        life = self._life
        if life is None:
            await self._publish(messages)
            return
        mortal = not all(is_dead_letter_topic(message.topic) for message in messages)
        if mortal and (handler := life.publishing(Stage.UNSENT)):
            life.die(Stage.UNSENT, handler)
        _check(life, messages)
        handler = life.publishing(Stage.SENT) if mortal else ""
        await self._publish(messages)
        if handler:
            life.die(Stage.SENT, handler)
        if life.dead:
            self._hooks.accepted(messages)
            _check(life, messages)

    async def _publish(self, messages: Sequence[Message]) -> None:
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
        """Say whether a settlement counts; the one before which it dies does not, nor a later."""
        if self._life is None or self._life.settles(deliveries):
            return True
        self._hooks.unsettled(deliveries)
        return False

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


def _check(life: Life, messages: Sequence[Message]) -> None:
    if life.dead:
        why = "the process is dead: nobody hears what became of it"
        raise PublishError(why, unknown=dict.fromkeys(range(len(messages)), why))


_: type[Broker] = TroubledBroker
