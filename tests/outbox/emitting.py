"""Rows for an outbox, written as a handler's are."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from choreo.message import Message
from choreo.store.outbox import Emission, Outbox, Refusal, Row, Settled
from choreo.store.port import Claim, End, Ledger, Verdict

LEASE = timedelta(seconds=30)
_causes = count()


class Place:
    """The books of one service, and its outbox."""

    def __init__(self, ledger: Ledger[Any]) -> None:
        self.ledger = ledger
        self.outbox: Outbox = ledger.outbox

    async def emit(self, *emissions: Emission) -> None:
        """Have one event's end emit *emissions*."""
        assert await self.ledger.finish([ended(*emissions)]) == [Verdict.WRITTEN]

    async def read(self, holder: str = "one") -> Sequence[Row]:
        """Read what *holder* may publish now, as the only relay."""
        await self.outbox.keep(holder, LEASE)
        return await self.outbox.read(holder, 500)

    async def names(self, holder: str = "one") -> list[str]:
        """Tell the ids of what may go out now, in order."""
        return [row.identity for row in await self.read(holder) if not row.blocked]

    async def refuse(
        self, row: Row, *, again: timedelta | None = None, aside: bool = False
    ) -> None:
        """Settle that the broker refused *row*."""
        refusal = Refusal(
            row=row, reason="too large", attempts=row.attempts + 1, again=again, aside=aside
        )
        await self.outbox.settle("one", Settled(refused=[refusal]))


def emission(identity: str, lane: str = "orders/1", stream: str | None = None) -> Emission:
    """Make a row with every part of a message."""
    headers = [("ce_id", identity.encode()), ("raw", bytes(range(256))), ("absent", None)]
    message = Message("orders", b"\0" + identity.encode(), lane.encode(), headers, retain=True)
    return Emission(message=message, identity=identity, lane=lane, stream=stream)


def ended(*emissions: Emission, cause: str | None = None) -> End:
    """Make the end of an event that emitted *emissions*."""
    key = (0, "urn:choreo:web", cause or f"cause-{next(_causes)}")
    claim = Claim(key=key, fingerprint=b"f" * 16, at=datetime.now(UTC))
    return End(claim=claim, emitted=emissions)
