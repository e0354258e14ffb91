"""Numbered readings over MQTT, which reorders, repeats and drops, and what they lead to."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from choreo import Context, Event, Gaps, Reject, Service
from choreo.store.memory import MemoryTransaction
from choreo.testing.simulation import Climate, World
from tests.simulation.shop import made


class MeterRead(Event, topic="meter/{meter}/reading", key="meter", sequence="number"):
    meter: str
    number: int
    value: str = "fine"


class Billed(Event, topic="bills", key="meter"):
    meter: str
    number: int


def services() -> Sequence[Service[Any]]:
    """Make one that bills readings in order, and one that files the bills."""
    billing, files = made("billing"), made("files")

    @billing.on(MeterRead, gaps=Gaps(patience=timedelta(seconds=1)))
    async def bill(read: MeterRead, ctx: Context[MemoryTransaction]) -> Billed:
        if read.value == "broken":
            raise Reject("no such meter")
        if read.value == "shaky" and ctx.attempt < 2:
            raise ConnectionError("the tariff cannot be read")
        ctx.transaction[read.meter] = read.number
        return Billed(meter=read.meter, number=read.number)

    @files.on(Billed)
    async def file(billed: Billed, ctx: Context[MemoryTransaction]) -> None:
        ctx.transaction[billed.meter] = billed.number

    return (billing, files)


async def few(world: World) -> None:
    """Read one meter, or two, a few times; some readings were forgotten, and come at the end."""
    meters = ["a", "b"][: world.random.randint(1, 2)]
    last = dict.fromkeys(meters, 0)
    forgotten: list[MeterRead] = []
    for _ in range(world.random.randint(1, 10)):
        meter = world.random.choice(meters)
        last[meter] += 1
        value = world.random.choice(("fine", "fine", "fine", "shaky", "broken"))
        read = MeterRead(meter=meter, number=last[meter], value=value)
        if world.random.random() < FORGOTTEN:
            forgotten.append(read)
        else:
            await world.publish(read)
        await world.sleep(world.random.expovariate(3.0))
    for read in forgotten:
        await world.publish(read)


FORGOTTEN = 0.1
climate = Climate(transport="mqtt")
