"""What happened to each event at each handler, kept apart from choreo, and what must hold."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from choreo import Context, Message
from choreo.broker import Notice
from choreo.delivery.job import Job, Outcome, Received
from choreo.message import Delivery

Share = tuple[str, str]
"""A handler and the id of an event."""


class Life:
    """One process: what it does once it is over has not happened."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.over = False


@dataclass(eq=False)
class Run:
    """One attempt of a handler, from inside."""

    life: Life
    share: Share
    key: str
    delivery: Delivery
    stubborn: bool = False
    """It will not die: once its deadline has passed it counts for nothing."""


class Account:
    """The account of one service, over all its lives."""

    def __init__(self, is_current: Callable[[Delivery], bool]) -> None:
        self._is_current = is_current
        self.wants: dict[str, set[str]] = {}
        """For each event that was published, the handlers that want it."""
        self.places: dict[str, tuple[str, int]] = {}
        """Key of each event, and its place among those of the key."""
        self.runs: Counter[Share] = Counter()
        self.completions: list[Share] = []
        """Handled or buried, in order."""
        self.handled: set[Share] = set()
        self.buried: set[Share] = set()
        self.tally: Counter[str] = Counter()
        self.violations: list[str] = []
        """What may never happen, and did: kept here, as a handler's errors are its attempt's."""
        self.finished: set[tuple[Life, Share]] = set()
        """Ended as handled: its emits were accepted."""
        self._running: list[Run] = []

    def expect(self, identity: str, handlers: set[str], key: str) -> None:
        """Note that an event was published, if it is the first time."""
        if identity not in self.wants:
            self.wants[identity] = handlers
            number = sum(1 for other, _ in self.places.values() if other == key)
            self.places[identity] = (key, number)

    def begin(self, life: Life, key: str, ctx: Context, *, late: bool = False) -> Run:
        """Note that a handler was called; *late* if that may be long after it was decided."""
        handler = ctx.handler
        run = Run(life, (handler, ctx.id), key, ctx.delivery)
        if life.over:
            return run
        if (life, run.share) in self.finished:
            self.violations.append(f"{run.share} was handled by {life.name} before")
        if not late and not self._is_current(run.delivery):
            self.violations.append(f"{run.share} begins in {life.name}, where it is not at home")
        for other in self._running:
            if other.share[0] == handler and other.key == key and self._counts(other, life):
                self.violations.append(f"{run.share} overlaps {other.share} in its key")
        self._running.append(run)
        self.runs[run.share] += 1
        return run

    def end(self, run: Run, *, well: bool) -> None:
        """Note that it returned, or raised."""
        if run in self._running:
            self._running.remove(run)
        if well and not run.life.over:
            self.handled.add(run.share)
            self.completions.append(run.share)

    def check(self, published: Collection[str]) -> None:
        """Nothing of what was *published* was lost, and every key was in order at every handler."""
        assert not self.violations, self.violations
        for identity in published:
            for handler in self.wants[identity]:
                share = (handler, identity)
                assert share in self.handled or share in self.buried, f"{share} is lost"
        self.check_order(self.completions)

    def reorder(self, identities: Iterable[str]) -> None:
        """Expect the events of a key in the order of *identities*, as the broker has them."""
        for number, identity in enumerate(identities):
            self.places[identity] = (self.places[identity][0], number)

    def check_order(self, completions: Iterable[Share]) -> None:
        """See that first *completions* are in order, for each handler and key."""
        newest: dict[tuple[str, str], int] = {}
        seen: set[Share] = set()
        for handler, identity in completions:
            if (handler, identity) not in seen:
                seen.add((handler, identity))
                key, number = self.places[identity]
                assert newest.get((handler, key), -1) < number, f"{identity} came late at {handler}"
                newest[handler, key] = number

    def _counts(self, run: Run, life: Life) -> bool:
        if run.life.over or run.stubborn:
            return False
        return run.life is life or self._is_current(run.delivery)


class Witness:
    """The journal of one life, which tells the account how things ended."""

    def __init__(self, account: Account, life: Life) -> None:
        self._account = account
        self._life = life

    def received(self, received: Received, /) -> None:
        """Nothing follows from it."""

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Count it, to show that it happened."""
        del job, delay
        self._account.tally[type(error).__name__] += 1

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Note what is finished for good."""
        account = self._account
        account.tally[outcome.value] += 1
        if job.handler is None or self._life.over:
            return
        envelope = job.received.envelope
        assert envelope is not None
        share = (job.handler.plan.id, envelope.id)
        if outcome is Outcome.DEAD_LETTERED:
            account.buried.add(share)
            account.completions.append(share)
        elif outcome is Outcome.HANDLED:
            if share not in account.handled:
                account.violations.append(f"{share} ended without a run that succeeded")
            account.finished.add((self._life, share))

    def settled(self, received: Received, /) -> None:
        """Nothing is settled that any handler has not finished."""
        if received.dropped or self._life.over:
            return
        envelope = received.envelope
        assert envelope is not None
        account = self._account
        for handler in account.wants[envelope.id]:
            share = (handler, envelope.id)
            if share not in account.handled and share not in account.buried:
                account.violations.append(f"{share} was settled unfinished")

    def published(self, messages: Sequence[Message], /) -> None:
        """Nothing follows from it."""

    def notice(self, notice: Notice, /) -> None:
        """Count it, to show that it happened."""
        self._account.tally[notice.kind] += 1
