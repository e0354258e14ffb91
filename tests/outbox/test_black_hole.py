"""A broker that answers nobody, and what that does to the database: nothing."""

import asyncio
from collections.abc import Sequence

import asyncpg

from choreo.delivery.relay import Relay
from choreo.environment import Environment
from choreo.message import Message
from choreo.store.opening import open_store
from tests.outbox.emitting import Place, emission

OPEN = """
SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()
AND backend_type = 'client backend' AND datname = current_database()
"""


async def test_no_transaction_is_open_and_nothing_locked_while_a_broker_is_silent(
    postgres_url: str,
) -> None:
    """O7: other writers go on, and no row is held, for as long as it takes."""
    asked = asyncio.Event()
    answered = asyncio.Event()

    async def publish(messages: Sequence[Message]) -> None:
        asked.set()
        await answered.wait()

    watching = await asyncpg.connect(postgres_url.partition("?")[0])
    async with open_store(postgres_url) as store:
        place = Place(await store.ledger("shop", ["charge"]))
        await place.emit(emission("e1"))
        relay = Relay(place.outbox, publish, Environment())
        running = asyncio.create_task(relay.run())
        await asked.wait()
        while await watching.fetchval(OPEN):  # the lease and the backlog take a moment each
            await asyncio.sleep(0.01)
        await watching.execute("SELECT * FROM choreo_outbox FOR UPDATE NOWAIT")
        await place.emit(emission("e2"))
        answered.set()
        await relay.flush()
        relay.stop()
        await running

        assert relay.state.published == 2
    await watching.close()
