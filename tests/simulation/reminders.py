"""A service that reminds: what it publishes later is in the same transaction as all else."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from choreo import Context, Event, Service
from choreo.store.memory import MemoryTransaction
from choreo.testing.simulation import World
from tests.simulation.shop import made


class Invited(Event, topic="invitations", key="guest"):
    guest: str
    number: int
    mood: str = "plain"


class ReminderDue(Event, topic="reminders", key="guest"):
    guest: str
    number: int


def services() -> Sequence[Service[Any]]:
    """Make the one that reminds of invitations, and of nothing that it could not note."""
    hosts = made("hosts")

    @hosts.on(Invited, publishes=[ReminderDue])
    async def remind(invited: Invited, ctx: Context[MemoryTransaction]) -> None:
        reminder = ReminderDue(guest=invited.guest, number=invited.number)
        await ctx.publish(reminder, delay=timedelta(milliseconds=200))
        if invited.mood == "shaky" and ctx.attempt < 2:
            raise ConnectionError("the calendar cannot be read")
        ctx.transaction[invited.guest] = invited.number

    @hosts.on(ReminderDue)
    async def call(due: ReminderDue, ctx: Context[MemoryTransaction]) -> None:
        ctx.transaction[f"called {due.guest}"] = due.number

    return [hosts]


async def few(world: World) -> None:
    """Invite a few guests, once or several times."""
    for number in range(world.random.randint(1, 8)):
        guest, mood = f"guest-{world.random.randrange(2)}", world.random.choice(("plain", "shaky"))
        await world.publish(Invited(guest=guest, number=number, mood=mood))
        await world.sleep(world.random.expovariate(3.0))
