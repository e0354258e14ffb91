"""What the delivery core tells those who watch it: telemetry, the test harness, a decision log."""

from collections.abc import Sequence
from typing import Protocol

from choreo.broker import Notice
from choreo.delivery.job import Job, Outcome, Received
from choreo.message import Message


class Journal(Protocol):
    """Told of every decision, in the moment it takes effect; never raises, never blocks."""

    def received(self, received: Received, /) -> None:
        """Hear that a delivery came in; its *owed* says how many handlers it goes to."""
        ...

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Hear that an attempt failed; the next follows in *delay* seconds, or none."""
        ...

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Hear how one handler's share of an event ended."""
        ...

    def settled(self, received: Received, /) -> None:
        """Hear that all shares of a delivery ended, and it was settled or dropped."""
        ...

    def published(self, messages: Sequence[Message], /) -> None:
        """Hear that the broker accepted *messages*."""
        ...

    def notice(self, notice: Notice, /) -> None:
        """Hear what the adapter noticed."""
        ...
