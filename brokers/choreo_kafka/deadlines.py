"""One timer for any number of receipts: a timer per call would cost more than its message."""

import asyncio

from choreo_kafka.receipt import Receipt

TICK = 0.1
"""Seconds to which a deadline is kept; never early."""


class Deadlines:
    """Expires receipts that are not done in time."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._slots: dict[int, set[Receipt]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, receipt: Receipt) -> set[Receipt]:
        """Expire *receipt* when its time is over, unless it is taken out of the returned set."""
        loop = asyncio.get_running_loop()
        slot = int((loop.time() + self._timeout) / TICK) + 1
        receipts = self._slots.get(slot)
        if receipts is None:
            receipts = self._slots[slot] = set()
            if self._timer is None:
                self._timer = loop.call_at(slot * TICK, self._expire)
        receipts.add(receipt)
        return receipts

    def close(self) -> None:
        """Expire nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        for slot in [slot for slot in self._slots if slot * TICK <= now]:
            for receipt in tuple(self._slots.pop(slot)):
                receipt.expire(f"no acknowledgement within {self._timeout:g} s")
        if self._slots:
            self._timer = loop.call_at(min(self._slots) * TICK, self._expire)
