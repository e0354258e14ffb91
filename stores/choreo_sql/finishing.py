"""Writing the ends of many events in one transaction: each whole or not at all.

Theory of operation.  One attempt writes a batch in a constant number of statements: the inbox rows,
the steps of numbered streams, the places left in the parking lot, and the outbox.  An end that is
refused before anything of it was written is left out and the others commit.  One that is refused
half way has the transaction rolled back, and the rest written again without it: that is rare, and
so nothing has to know how to undo itself.  An error that may be one end's own divides the batch in
halves until it is found; one that says that the database is away fails all.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.errors import StoreError
from choreo.failpoints import reached
from choreo.store.port import End, Verdict
from choreo_sql import lot, outbox, streams
from choreo_sql.claiming import Wish, rows_of, take
from choreo_sql.connections import Connections
from choreo_sql.failures import of_one
from choreo_sql.scopes import Scopes

Result = Verdict | StoreError


class HalfWritten(Exception):
    """Some ends were refused when a part of them was written: the way out of a transaction."""

    def __init__(self, refused: dict[int, Verdict]) -> None:
        super().__init__()
        self.refused = refused


class Riders(Protocol):
    """What is written in the same transactions, where it does no harm."""

    async def take_along(self, connection: AsyncConnection, /) -> None:
        """Write it in the transaction of *connection*."""
        ...

    def committed(self) -> None:
        """Hear that it is committed."""
        ...

    def put_out(self) -> bool:
        """Hear that it was rolled back, and is not tried again; say whether there was anything."""
        ...


async def finish(
    connections: Connections, scopes: Scopes, ends: Sequence[End], riders: Riders | None = None
) -> Sequence[Result]:
    """Write *ends*; a verdict for each, or what kept it from being written."""
    results: dict[int, Result] = {}
    remaining = list(range(len(ends)))
    writing = _Writing(connections, scopes, ends, riders)
    while remaining:
        batch, remaining = _apart(remaining, ends, scopes)
        await _write(writing, batch, results)
    return [results[place] for place in range(len(ends))]


async def record(
    connection: AsyncConnection, scopes: Scopes, ends: Sequence[End]
) -> dict[int, Verdict]:
    """Write what goes with ends whose inbox rows are taken; tell which are refused, by index.

    The transaction must be rolled back if any is.
    """
    refused: dict[int, Verdict] = {}
    steps = [(place, end.advance) for place, end in enumerate(ends) if end.advance is not None]
    if steps:
        stood = await streams.advance(connection, scopes, [step for _, step in steps])
        refused |= _moved([place for place, _ in steps], stood)
    parked = [(place, end.parked) for place, end in enumerate(ends) if end.parked is not None]
    if parked:
        left = await lot.leave(connection, scopes, [spot for _, spot in parked])
        refused |= _moved([place for place, _ in parked], left)
    emitted = [emission for end in ends for emission in end.emitted]
    if emitted and not refused:
        await outbox.insert(connection, scopes, emitted)
    return refused


class _Writing(NamedTuple):
    """What all transactions of a batch have in common."""

    connections: Connections
    scopes: Scopes
    ends: Sequence[End]
    riders: Riders | None

    async def write(self, batch: Sequence[int]) -> Sequence[Verdict]:
        """Write the ends at the places *batch* in one transaction, and what rides in it."""
        async with self.connections.writing() as connection:
            ends = [self.ends[place] for place in batch]
            verdicts = await _attempt(connection, self.scopes, ends)
            if self.riders is not None:
                await self.riders.take_along(connection)
        if self.riders is not None:
            self.riders.committed()
        return verdicts


async def _write(writing: _Writing, batch: Sequence[int], results: dict[int, Result]) -> None:
    """Write the ends at the places *batch*, none of which share a row."""
    while batch:
        try:
            verdicts = await writing.write(batch)
        except HalfWritten as half:
            results |= {batch[index]: verdict for index, verdict in half.refused.items()}
            batch = [place for index, place in enumerate(batch) if index not in half.refused]
            continue
        except StoreError as error:
            if writing.riders is not None and writing.riders.put_out():
                continue  # it may have been their doing
            if len(batch) == 1 or not of_one(error):
                results |= dict.fromkeys(batch, error)
                return
            middle = len(batch) // 2
            await _write(writing, batch[:middle], results)
            await _write(writing, batch[middle:], results)
            return
        results |= dict(zip(batch, verdicts, strict=True))
        return


async def _attempt(
    connection: AsyncConnection, scopes: Scopes, ends: Sequence[End]
) -> Sequence[Verdict]:
    wishes = [Wish(claim=end.claim, state=end.state, fence=end.fence) for end in ends]
    answers = await take(connection, scopes, wishes)
    partly = {index: answer.verdict for index, answer in enumerate(answers) if answer.partly}
    if partly:
        raise HalfWritten(partly)
    winners = [index for index, answer in enumerate(answers) if answer.verdict is Verdict.WRITTEN]
    refused = await record(connection, scopes, [ends[index] for index in winners])
    reached("recorded")
    if refused:
        raise HalfWritten({winners[index]: verdict for index, verdict in refused.items()})
    return [answer.verdict for answer in answers]


def _apart(
    places: Sequence[int], ends: Sequence[End], scopes: Scopes
) -> tuple[list[int], list[int]]:
    """Part what can be written together from what shares a row with an end before it."""
    claims = [ends[place].claim for place in places]
    if len({claim.key for claim in claims}) == len(places) and not any(
        claim.purpose for claim in claims
    ):
        return list(places), []  # as nearly always
    seen: set[object] = set()
    together: list[int] = []
    later: list[int] = []
    for place in places:
        end = ends[place]
        wish = Wish(claim=end.claim, state=end.state, fence=end.fence)
        rows = {row.key for row in rows_of(wish, scopes)}
        (later if rows & seen else together).append(place)
        seen |= rows
    return together, later


def _moved(places: Sequence[int], stood: Sequence[bool]) -> dict[int, Verdict]:
    return {place: Verdict.MOVED for place, well in zip(places, stood, strict=True) if not well}
