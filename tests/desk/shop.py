"""A service whose handlers fail as they are told, and what tests do with its dead letters."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from choreo import Context, Event, Reject, Service
from choreo.broker import Broker, open_broker
from choreo.desk.case import Case
from choreo.desk.desk import Desk
from choreo.desk.place import of_service
from choreo.desk.ruling import Wish, rule
from choreo.desk.selection import Selection
from choreo.runner import Running, started
from tests.patience import patient


@dataclass
class Till:
    """What the handlers have seen."""

    broken: bool = True
    barred: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Orders that fail although the till is whole."""
    charged: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    seen: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    noted: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    contexts: list[Context] = field(default_factory=list[Context])
    shut: asyncio.Event | None = None
    """What has begun goes on once this is set."""


class Order(Event):
    order_id: str
    number: int


def placed(topic: str) -> type[Order]:
    """Make the event class of one test, so that no two tests meet."""

    class OrderPlaced(Order, topic=topic, key="order_id"):
        pass

    return OrderPlaced


@dataclass
class Shop:
    """One service under test, and the desk of its letters."""

    name: str
    url: str
    event: type[Order]
    till: Till
    broker: Broker
    running: Running

    @property
    def desk(self) -> Desk:
        return Desk(self.broker, of_service(self.name, self.broker.capabilities), by="test")

    async def place(self, *orders: tuple[str, int]) -> None:
        await self.running.publish([self.event(order_id=key, number=n) for key, n in orders])

    async def until(self, condition: Callable[[], object], within: float = 8.0) -> None:
        """Wait for *condition*."""
        async with asyncio.timeout(patient(within)):
            while not condition():
                await asyncio.sleep(0.005)

    async def idle(self) -> None:
        """Wait until everything that the broker has for the service is settled, where it tells."""
        consumer = self.running.consumer
        assert consumer is not None
        await self.until(lambda: all(each.settled == each.end for each in consumer.progress()))

    async def cases(self, selection: Selection | None = None) -> list[Case]:
        return (selection or Selection()).of(await self.desk.survey())

    async def replay(
        self, cases: Sequence[Case], wish: Wish | None = None
    ) -> dict[str, str | None]:
        """Replay *cases* as the command does; tell what became of each."""
        wish = wish or Wish()
        fates: dict[str, str | None] = {}
        ruling = rule(cases, wish)
        for why, refused in ruling.refused.items():
            fates.update({case.id: why for case in refused})
        await self.desk.replay(ruling.cases, wish, lambda case, why: fates.update({case.id: why}))
        return fates


def service(
    name: str, url: str, event: type[Order], till: Till, store: str | None = None
) -> Service[Any]:
    shop = Service(name, broker=url, store=store, create_topics=True)

    @shop.on(event, id="charge")
    async def charge(order: Order, ctx: Context) -> None:
        key = (order.order_id, order.number)
        till.seen.append(key)
        if till.shut is not None:
            await till.shut.wait()
        if till.broken or key in till.barred:
            raise Reject(f"the till is broken for order {order.number}")
        till.charged.append(key)
        till.contexts.append(ctx)

    @shop.on(event, id="note")
    async def note(order: Order) -> None:
        till.noted.append((order.order_id, order.number))

    return shop


@asynccontextmanager
async def opened(name: str, url: str) -> AsyncGenerator[Shop]:
    """Run the shop at *url*, with a connection beside it for its desk."""
    event, till = placed(f"{name}-orders"), Till()
    async with (
        started(service(name, url, event, till)) as running,
        open_broker(url) as broker,
    ):
        yield Shop(name, url, event, till, broker, running)
