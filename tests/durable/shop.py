"""A shop with a store, made anew for every life of its process."""

from datetime import timedelta

from sqlalchemy import text

from choreo import Context, Event, Retry, Service
from choreo_sql import SqlTransaction

SOON = timedelta(milliseconds=1)
HASTY = Retry(attempts=5, initial=SOON, maximum=SOON)


class Placed(Event, topic="orders", key="order", idempotency_key="payment"):
    order: str
    payment: str | None = None


class Taken(Event, topic="payments", key="order"):
    order: str


class Counted(Event, topic="counts", key="order", sequence="auto"):
    order: str


class Shop:
    """What one process runs, and what its handlers saw."""

    def __init__(self, url: str, retry: Retry = HASTY) -> None:
        self.service: Service[SqlTransaction] = Service("shop", store=url, retry=retry)
        self.failing = 0
        """Attempts that fail from now on, after they have written."""
        self.attempts: list[int] = []
        self.taken: list[str] = []
        self.service.on(Placed)(self.charge)
        self.service.on(Taken)(self.note)

    async def charge(self, placed: Placed, ctx: Context[SqlTransaction]) -> list[Taken | Counted]:
        """Write a row in the event's transaction, and fail as told."""
        self.attempts.append(ctx.attempt)
        statement = text("INSERT INTO effects VALUES (:what)")
        await ctx.transaction.connection.execute(statement, {"what": f"charge {placed.order}"})
        if self.failing:
            self.failing -= 1
            raise ConnectionError("gateway")
        return [Taken(order=placed.order), Counted(order=placed.order)]

    async def note(self, taken: Taken) -> None:
        """Have no effect but memory."""
        self.taken.append(taken.order)
