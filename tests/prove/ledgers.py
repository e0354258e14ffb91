"""The ledgers of a run, read from its databases: rows outrank whatever processes say."""

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import text

from choreo.testing.checker import Effect, Entry
from choreo_sql import SqlStore
from tests.prove.books import tables

ROWS = text(
    "SELECT service, handler, id, owner, number, at, payload, proc, life"
    " FROM effects ORDER BY place"
)
COUNT = text("SELECT count(*) FROM effects")
WAITING = text(
    "SELECT (SELECT count(*) FROM choreo_outbox) + (SELECT count(*) FROM choreo_outbox_timer)"
)
STEPS = text("SELECT saga, result, name, at, proc, life FROM steps ORDER BY place")
LATEST = text("SELECT service, max(at) FROM effects GROUP BY service")


class Ledgers:
    """What is written in every database of a run."""

    def __init__(self, run: str, stores: Sequence[SqlStore]) -> None:
        self._run = run
        self._stores = stores

    async def count(self) -> int:
        """Count the effects so far."""
        return sum([int((await _read(store, COUNT))[0][0]) for store in self._stores])

    async def waiting(self) -> int:
        """Count what waits in outboxes, timers included."""
        return sum([int((await _read(store, WAITING))[0][0]) for store in self._stores])

    async def latest(self) -> dict[str, float]:
        """Tell when each service had its latest effect."""
        found: dict[str, float] = {}
        for store in self._stores:
            for service, at in await _read(store, LATEST):
                found[service] = max(at, found.get(service, 0.0))
        return found

    async def effects(self) -> list[Effect]:
        """Read the ledgers, each in the order of its rows."""
        found: list[Effect] = []
        for store in self._stores:
            for row in await _read(store, ROWS):
                service, handler, identity, owner, number, at, payload, proc, life = row
                found.append(
                    Effect(
                        service=service,
                        handler=handler,
                        id=identity,
                        key=owner,
                        seq=number,
                        at=at,
                        payload=payload,
                        proc=proc,
                        incarnation=life,
                    )
                )
        return found

    async def steps(self) -> list[Entry]:
        """Read what sagas did, by time: rows of the database, and not what processes say."""
        found: list[Entry] = []
        for store in self._stores:
            for identity, result, name, at, proc, life in await _read(store, STEPS):
                found.append(
                    Entry(
                        at=at,
                        kind="saga_step",
                        proc=proc,
                        incarnation=life,
                        service=self._run,
                        id=identity,
                        result=result,
                        text=name,
                    )
                )
        return sorted(found, key=lambda step: step.at)


async def open_ledgers(stack: AsyncExitStack, run: str, urls: Iterable[str]) -> Ledgers:
    """Open databases for as long as *stack* is, and make their tables."""
    return Ledgers(run, [await _opened(stack, url) for url in urls])


async def _opened(stack: AsyncExitStack, url: str) -> SqlStore:
    store = await stack.enter_async_context(SqlStore(url))
    async with store.connections.writing() as connection:
        for statement in tables(connection.dialect.name):
            await connection.execute(text(statement))
    return store


async def _read(store: SqlStore, query: Any) -> Sequence[Any]:  # noqa: ANN401 -- SQLAlchemy's own
    async with store.connections.reading() as connection:
        return (await connection.execute(query)).all()
