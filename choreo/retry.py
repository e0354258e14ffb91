"""When a failed event is tried again: a pure policy, no clock and no waiting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from choreo.declaration import is_class_of, require
from choreo.errors import CodecError, ConfigurationError, Reject, RetryLater, UndeclaredEmit

FATAL: tuple[type[Exception], ...] = (Reject, CodecError, UndeclaredEmit, ConfigurationError)
"""Errors that no policy retries: the next attempt would fail the same way."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often and how soon: exponential back-off with jitter, adjustable per exception class.

    The n-th failure waits ``initial * multiplier**(n-1)``, at most ``maximum``, spread evenly over
    ±``jitter`` of itself so that events that failed together do not come back together.
    """

    attempts: int = 5
    """Attempts in all, the first included."""
    initial: timedelta = timedelta(milliseconds=100)
    multiplier: float = 2.0
    maximum: timedelta = timedelta(seconds=30)
    jitter: float = 0.1
    """Share of the delay, from 0 to 1."""
    never: tuple[type[Exception], ...] = ()
    """Exceptions that are not retried at all."""
    per: Mapping[type[Exception], "Retry"] = field(default_factory=dict[type[Exception], "Retry"])
    """Other policies for some exceptions; the most derived class that fits wins."""

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.attempts < 1:
            raise ConfigurationError(
                f"Retry(attempts={self.attempts}): at least one attempt is needed"
            )
        if not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"Retry(jitter={self.jitter}): give a share from 0 to 1")
        if self.multiplier < 1:
            raise ConfigurationError(f"Retry(multiplier={self.multiplier}): delays may not shrink")
        if self.initial < timedelta(0) or self.maximum < timedelta(0):
            raise ConfigurationError("Retry: initial and maximum may not be negative")
        if self.initial > self.maximum:
            raise ConfigurationError(
                f"Retry(initial={self.initial}): longer than maximum={self.maximum}"
            )

    def _check_kinds(self) -> None:
        for name in ("initial", "maximum"):
            given: object = getattr(self, name)
            require(given, timedelta, f"Retry({name}={given!r}): give a timedelta")
        require(self.attempts, int, f"Retry(attempts={self.attempts!r}): give a whole number")
        require(self.never, tuple, f"Retry(never={self.never!r}): give a tuple of exceptions")
        for exception in (*self.never, *self.per):
            if not is_class_of(exception, BaseException):
                raise ConfigurationError(f"Retry: {exception!r} is no class of exceptions")
        for exception, policy in self.per.items():
            require(policy, Retry, f"Retry(per={{{exception.__name__}: {policy!r}}}): give a Retry")

    def delay_after(self, attempt: int, error: BaseException, random: Random) -> float | None:
        """Say how many seconds to wait after *attempt* failed with *error*; None gives up."""
        policy = self._policy_for(error)
        if isinstance(error, FATAL + policy.never):
            return None
        if attempt >= policy.attempts:
            return None
        if isinstance(error, RetryLater):
            return error.delay.total_seconds()
        return policy.backoff(attempt, random)

    def backoff(self, attempt: int, random: Random) -> float:
        """Compute the delay in seconds after failure number *attempt*, whatever the limit."""
        longest = self.maximum.total_seconds()
        try:
            delay = min(self.initial.total_seconds() * self.multiplier ** (attempt - 1), longest)
        except OverflowError:
            delay = longest
        return delay * (1 + self.jitter * (2 * random.random() - 1))

    def _policy_for(self, error: BaseException) -> "Retry":
        if self.per:
            for parent in type(error).__mro__:
                if parent in self.per:
                    return self.per[parent]
        return self


NO_RETRY = Retry(attempts=1)
"""One attempt, then the dead letters."""

FOREVER = Retry(attempts=2**63, initial=timedelta(milliseconds=200), maximum=timedelta(seconds=10))
"""For what must not be given up: dead-lettering, settling, publishing what a handler emitted."""
