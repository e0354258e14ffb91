"""What a worker writes down of each event: in memory for one process's life, or in a store.

The rim below knows no difference: a handler that succeeded is *delivered*, which means published
without a store, and with one written together with all that it emitted; what is *buried* is noted,
so that only a replay of it is handled again.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from choreo.delivery.job import Job, Outcome
from choreo.delivery.publisher import Publisher, Told
from choreo.envelope import Envelope
from choreo.errors import IdConflict
from choreo.store.port import Claim, Effect, Key


class Books(Protocol):
    """Keeps account of ends and attempts. Raises BrokerError or StoreError: nothing is known then.

    What a method decides about a job it sets there: ``reason`` to have it buried, attempts that
    another process began.
    """

    @property
    def durable(self) -> bool:
        """Say whether an end must be written even if nothing was emitted."""
        ...

    def fingerprint(self, job: Job, /) -> Hashable:
        """Make what two payloads under one id are told apart by (I10)."""
        ...

    async def recall(self, jobs: Sequence[Job], /) -> None:
        """Learn what is known of *jobs*, once, before they are handled."""
        ...

    async def lease(self, job: Job, /) -> Outcome | None:
        """Claim a job whose handler has effects of its own outside; None once it is this one's."""
        ...

    def claim(self, job: Job, /) -> Claim:
        """Make the wish to handle a job in a transaction."""
        ...

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[Any]]:
        """Open the transaction in which the handler of a job runs."""
        ...

    async def complete(self, job: Job, claim: Claim, effect: Effect[Any], /) -> Outcome | None:
        """Write the job's end in its own transaction; None if it is to be buried instead."""
        ...

    def let_go(self, job: Job, /) -> None:
        """Renew no lease of a job that this process has given up: it runs out for others."""
        ...

    def committed(self, job: Job, /) -> None:
        """Hear that the job's transaction was committed."""
        ...

    def hand_over(self, job: Job, told: Told[Job], /) -> bool:
        """Begin to publish what a handler that succeeded has done, and call *told* then.

        False, and nothing is begun, where ``deliver`` is to be awaited.
        """
        ...

    async def deliver(self, job: Job, /) -> Outcome | None:
        """Write or publish what a handler that succeeded has done; None if it is to be buried."""
        ...

    async def failed(self, job: Job, /) -> None:
        """Note that an attempt failed and another will follow; never raises."""
        ...

    async def taken_back(self, jobs: Sequence[Job], /) -> None:
        """Note that of each of *jobs* one attempt that was noted does not count; never raises."""
        ...

    async def buried(self, job: Job, /) -> None:
        """Note that the job is in the dead letters."""
        ...

    async def failed_again(self, key: Key, generation: int, /) -> bool:
        """Say whether the replay of that number ended in the dead letters, and no later one well.

        What only this process knows is asked for elsewhere.
        """
        ...


def id_conflict(envelope: Envelope | None) -> IdConflict:
    """Say that the id of *envelope* is known with another payload."""
    return IdConflict(
        f"{envelope.type if envelope else 'an event'} bears the id of an event with another "
        "payload, which was handled: its producer must give every event an id of its own"
    )


brief_fingerprint: Callable[[bytes | None], Hashable] = hash
"""Tells payloads apart well enough for one process's life."""


class PassingBooks:
    """The books of a service without a store: what is emitted goes straight to the broker."""

    durable = False

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def fingerprint(self, job: Job, /) -> Hashable:
        """Hash the payload, well enough for one process's life."""
        envelope = job.received.envelope
        assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
        return brief_fingerprint(envelope.data)

    async def recall(self, jobs: Sequence[Job], /) -> None:
        """Know nothing."""

    async def lease(self, job: Job, /) -> Outcome | None:
        """Never be asked: a service without a store is refused at start."""
        raise NotImplementedError

    def claim(self, job: Job, /) -> Claim:
        """Never be asked: a service without a store is refused at start."""
        raise NotImplementedError

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[Any]]:
        """Never be asked: a service without a store is refused at start."""
        raise NotImplementedError

    async def complete(self, job: Job, claim: Claim, effect: Effect[Any], /) -> Outcome | None:
        """Never be asked: a service without a store is refused at start."""
        raise NotImplementedError

    def let_go(self, job: Job, /) -> None:
        """Have nothing to do."""

    def committed(self, job: Job, /) -> None:
        """Have nothing to do."""

    def hand_over(self, job: Job, told: Told[Job], /) -> bool:
        """Begin to publish what the job emitted, unless this task is to follow it."""
        if self._publisher.traced:
            return False
        self._publisher.hand_in(job.outbound, told, job)
        return True

    async def deliver(self, job: Job, /) -> Outcome | None:
        """Publish what the job emitted."""
        await self._publisher.publish(job.outbound)
        return Outcome.HANDLED

    async def failed(self, job: Job, /) -> None:
        """Keep nothing: the job itself knows."""

    async def taken_back(self, jobs: Sequence[Job], /) -> None:
        """Keep nothing: the jobs themselves know."""

    async def buried(self, job: Job, /) -> None:
        """Keep nothing: a replay must be handled (I12)."""

    async def failed_again(self, key: Key, generation: int, /) -> bool:  # noqa: ARG002 -- as the port has it
        """Know nothing."""
        return False


_: type[Books] = PassingBooks
