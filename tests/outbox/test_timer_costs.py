"""What timers that wait cost a relay: as many rows are looked at as are fired."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, text

from choreo.store.shards import SHARDS
from choreo_sql import SqlStore
from choreo_sql.outbox_queries import oldest
from choreo_sql.outbox_timers import due_timers, until_next

LEASE = timedelta(minutes=1)
WAITING = 20_000
DUE = 40
FILL = """
INSERT INTO choreo_outbox_timer
    (service, shard, lane, identity, topic, headers, retain, due)
SELECT 1, n % :shards, decode(md5(n::text), 'hex'), 't' || n, 'orders', '[]', false,
    CASE WHEN n <= :due THEN n ELSE 9000000000000000 END
FROM generate_series(1, :waiting) AS n
"""


@pytest.mark.parametrize(
    ("query", "limits"),
    [(until_next(), {}), (due_timers("postgresql"), {"per": 64, "limit": 500}), (oldest(), {})],
    ids=["next", "due", "oldest"],
)
async def test_postgresql_looks_at_no_timer_that_is_not_due(
    postgres_url: str, query: Select[Any], limits: Mapping[str, int]
) -> None:
    """Its own clock, read for every row, would have it look through all of them."""
    async with SqlStore(postgres_url) as store:
        ledger = await store.ledger("shop", [])
        await ledger.outbox.keep("one", LEASE)
        async with store.connections.writing() as connection:
            numbers = {"shards": SHARDS, "due": DUE, "waiting": WAITING}
            await connection.execute(text(FILL), numbers)
            await connection.execute(text("ANALYZE choreo_outbox_timer"))

        async with store.connections.reading() as connection:
            compiled = query.compile(dialect=connection.dialect)
            state = compiled.construct_expanded_state({"service": 1, "holder": "one", **limits})
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {state.statement}"
            found = await connection.exec_driver_sql(explain, tuple(state.positional_parameters))
            ((plan,),) = found.all()

    looks = [
        step["Actual Rows"] * step["Actual Loops"] + step.get("Rows Removed by Filter", 0)
        for step in _steps(plan[0]["Plan"])
        if step.get("Relation Name") == "choreo_outbox_timer"
    ]
    assert looks
    assert max(looks) <= DUE + SHARDS


def _steps(plan: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [plan, *(step for inner in plan.get("Plans", ()) for step in _steps(inner))]
