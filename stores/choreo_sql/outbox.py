"""Events on their way out: rows of the transaction that emitted them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.store.port import Emission
from choreo_sql.scopes import Scopes


async def insert(
    connection: AsyncConnection, scopes: Scopes, emissions: Sequence[Emission]
) -> None:
    """Keep *emissions* for the relay; those that are kept already under their id are left alone."""
