"""What a relay asks costs what it returns, however many rows there are."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import SelectBase

from choreo_sql import SqlStore
from choreo_sql.outbox_queries import oldest, ready_rows, rows_to_send, waiting_rows
from choreo_sql.outbox_timers import due_timers, until_next

OWN = {"service": 1, "holder": "one"}


@pytest.mark.parametrize(
    ("query", "limits"),
    [
        (ready_rows("sqlite"), {"per_shard": 32}),
        (waiting_rows("sqlite"), {"per_lane": 16, "limit": 64}),
        (rows_to_send("sqlite"), {"per_shard": 32, "per_lane": 16, "limit": 64}),
        (oldest(), {}),
        (until_next(), {}),
        (due_timers("sqlite"), {"per": 16, "limit": 64}),
    ],
    ids=["ready", "waiting", "both", "oldest", "next timer", "due timers"],
)
async def test_no_query_of_a_relay_looks_through_the_rows(
    tmp_path: Path, query: SelectBase, limits: Mapping[str, int]
) -> None:
    """O8 and what an outbox of 16 million rows did to others: each walks an index, none sorts."""
    async with (
        SqlStore(f"sqlite:///{tmp_path / 'plans.db'}") as store,
        store.connections.reading() as connection,
    ):
        compiled = query.compile(dialect=connection.dialect)
        state = compiled.construct_expanded_state({**OWN, **limits})
        explained = await connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {state.statement}", state.positional_parameters
        )
        steps = [str(row[-1]) for row in explained]

    touching = [step for step in steps if "choreo_outbox" in step or "first" in step]
    assert touching
    assert not [step for step in steps if step.startswith("SCAN choreo_outbox")]
    assert not [step for step in steps if "first" in step and step.startswith("SCAN")]
