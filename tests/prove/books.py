"""What a run is judged by: rows that handlers write in their own transactions, and no key guards.

A second effect, or a second end of a saga, is to be seen, not prevented.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from sqlalchemy import text

from choreo import Context
from choreo.testing.checker import Scribe
from choreo.testing.checker.recorder import digest
from choreo_sql import SqlTransaction
from tests.prove.events import Body, checksum

KEY: Mapping[str, str] = {
    "sqlite": "INTEGER PRIMARY KEY",
    "postgresql": "BIGSERIAL PRIMARY KEY",
}
AT = "at DOUBLE PRECISION, proc TEXT, life INTEGER"
TABLES: Mapping[str, str] = {
    "effects": "place {key}, service TEXT, handler TEXT, id TEXT, owner TEXT, number INTEGER,"
    " payload TEXT, " + AT,
    "steps": "place {key}, saga TEXT, result TEXT, name TEXT, " + AT,
    "sagas": "id TEXT PRIMARY KEY, state TEXT",
}
"""The ledger of effects, that of the steps of sagas, and what services know of their sagas."""
EFFECT = text(
    "INSERT INTO effects (service, handler, id, owner, number, at, payload, proc, life)"
    " VALUES (:service, :handler, :id, :owner, :number, :at, :payload, :proc, :life)"
)
STEP = text(
    "INSERT INTO steps (saga, result, name, at, proc, life)"
    " VALUES (:saga, :result, :name, :at, :proc, :life)"
)


def tables(dialect: str) -> list[str]:
    """Write what creates the tables."""
    columns = {name: text.format(key=KEY[dialect]) for name, text in TABLES.items()}
    return [f"CREATE TABLE IF NOT EXISTS {name} ({text})" for name, text in columns.items()]


class Books:
    """Writes the effects of one life of one process, the steps of its sagas, and its timers."""

    def __init__(
        self, scribe: Scribe, *, service: str, proc: str, life: int, planted: str = ""
    ) -> None:
        self.planted = planted
        self._scribe = scribe
        self._service = service
        self._who: Mapping[str, str | int] = {"proc": proc, "life": life}

    async def effect(self, ctx: Context[SqlTransaction], body: Body, number: int = 0) -> None:
        """Write one row, wherever a handler is called once more; refuse what was torn."""
        assert body.check == checksum(body.owner, body.number), f"{ctx.id} was torn"
        row = {
            "service": self._service,
            "handler": ctx.handler,
            "id": ctx.id,
            "owner": body.owner,
            "number": number,
            "at": time.monotonic(),
            "payload": digest(ctx.delivery.body),
            **self._who,
        }
        await ctx.transaction.connection.execute(EFFECT, row)

    async def step(
        self, ctx: Context[SqlTransaction], result: Literal["done", "undone", "ended"], name: str
    ) -> None:
        """Write down that the saga of this conversation has come one step further."""
        row = {
            "saga": ctx.correlation_id,
            "result": result,
            "name": name,
            "at": time.monotonic(),
            **self._who,
        }
        await ctx.transaction.connection.execute(STEP, row)

    def timer(self, identity: str, delay: timedelta) -> None:
        """Tell that something is to happen in a while, and not before."""
        now = time.monotonic()
        self._scribe.write("timer_set", now, id=identity, value=now + delay.total_seconds())
