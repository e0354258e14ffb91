"""What a store's author tells the contract."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from choreo.store.port import Store
from choreo.testing.contract.setup import fresh_name


async def pass_time(span: timedelta) -> None:
    """Wait: the clock of a database cannot be moved."""
    await asyncio.sleep(span.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSetup:
    """One store, how to open clients of it, and how a handler writes to it."""

    open: Callable[[], Store[Any]]
    """Build, unopened, one more client of the same store, as another process would."""
    write: Callable[[Any, str], Awaitable[None]]
    """Write one row, bearing the text, in the transaction that a handler gets."""
    written: Callable[[], Awaitable[Sequence[str]]]
    """Read the rows that were committed, in any order, with repeats."""
    pass_time: Callable[[timedelta], Awaitable[None]] = pass_time
    """Let the clock by which leases run out go on."""
    lease: timedelta = timedelta(milliseconds=200)
    """A lease that is waited for; longer than a call takes."""
    patience: float = 10.0
    """Seconds in which the store does what it is asked to."""
    quiet: float = 0.1
    """Seconds after which what has not happened is taken not to happen."""
    name: Callable[[], str] = fresh_name
    """Make a new name for a service."""
