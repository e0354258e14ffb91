"""A service that is started while somebody holds its database."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from choreo import Event, Service
from choreo.runner import started
from choreo_sql import SqlStore

pytestmark = pytest.mark.alone


class Order(Event, topic="starting-orders", key="key"):
    key: str


async def _run(service: Service, entered: asyncio.Event, leave: asyncio.Event) -> None:
    async with started(service):
        entered.set()
        await leave.wait()


@pytest.mark.timeout(20)
async def test_a_service_that_is_started_while_the_database_is_held_waits_for_it(
    tmp_path: Path,
) -> None:
    """F14: another process, frozen in its transaction, holds SQLite's only lock."""
    file = tmp_path / "books.db"
    async with SqlStore(f"sqlite:///{file}"):
        pass
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    service = Service("starting", store=f"sqlite:///{file}?timeout=0.2")

    @service.on(Order)
    async def handle(order: Order) -> None:
        pass

    entered, leave = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(_run(service, entered, leave))
    await asyncio.wait({running}, timeout=1.5)
    waited = not running.done() and not entered.is_set()
    holder.rollback()
    holder.close()
    arrived = asyncio.create_task(entered.wait())
    await asyncio.wait({arrived, running}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    leave.set()
    await running

    assert waited
    assert entered.is_set()
