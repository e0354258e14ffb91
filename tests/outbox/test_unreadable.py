"""Rows that cannot be read, because somebody else has written to them."""

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from choreo import Event, Service
from choreo.outbox import Outbox
from choreo.runner import started

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
SPOIL = text("UPDATE choreo_outbox SET headers = :headers WHERE identity = :identity")
LEFT = text("SELECT identity, attempts, reason FROM choreo_outbox ORDER BY id")


class Placed(Event, topic="orders", key="order"):
    order: str


@pytest.mark.parametrize("headers", ["{garbage", "[[1, 2]]", "[]]", '{"a": "b"}', '[["a", "€"]]'])
async def test_a_row_that_cannot_be_read_holds_up_its_own_key_alone_o5(
    url: str, headers: str
) -> None:
    """It stopped the relay, and with it all that the service emitted."""
    shop = Service("shop", store=url)
    outbox, parsed = Outbox(shop), make_url(url).set(query={})
    engine = create_async_engine(parsed.set(drivername=DRIVERS[parsed.drivername]))

    async with started(shop) as running, AsyncSession(engine) as session:
        assert running.relay is not None
        placed = [Placed(order=order) for order in ("a", "b", "a")]
        spoilt, _, behind = await outbox.add(session, *placed)
        await session.execute(SPOIL, {"headers": headers, "identity": spoilt})
        await session.commit()
        await running.relay.flush()

        assert running.relay.state.published == 1
        (first, attempts, reason), second = (await session.execute(LEFT)).all()
        assert (first, attempts, second[:2]) == (spoilt, 1, (behind, 0))
        assert "headers cannot be read" in reason
    await engine.dispose()
