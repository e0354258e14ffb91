"""The bank: an outside API that is slow, sometimes away, and knows each request by its key."""

import asyncio
from decimal import Decimal

AWAY_EVERY = 40
"""One new request in so many finds the line dead."""


class CardDeclined(Exception):
    """The bank will not pay for this card, however often one asks."""


class Bank:
    """Money by card number. The same key charges once, whoever asks again."""

    def __init__(self) -> None:
        self._receipts: dict[str, str] = {}
        self._asked: set[str] = set()
        self.refunded: set[str] = set()

    async def charge(self, card: str, amount: Decimal, key: str) -> str:
        """Take *amount* and return a receipt; raises CardDeclined, or ConnectionError for now."""
        await asyncio.sleep(0)
        if key not in self._asked:
            self._asked.add(key)
            if len(self._asked) % AWAY_EVERY == 0:
                raise ConnectionError("the bank does not answer")
        if card.startswith("declined"):
            raise CardDeclined(f"no {amount} to be had from this card")
        return self._receipts.setdefault(key, f"receipt-{key[:8]}")

    async def refund(self, receipt: str) -> None:
        """Give back what *receipt* stands for; once is enough, twice does nothing more."""
        await asyncio.sleep(0)
        self.refunded.add(receipt)
