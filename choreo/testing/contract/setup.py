"""What an adapter's author tells the contract."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from choreo.broker import Broker


def fresh_name() -> str:
    """Make a name, for a topic or a group, that was never used before."""
    return f"kit-{uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSetup:
    """One broker, how to open clients of it, and what can be done to it.

    A control that is None cannot be applied; what only it can show is skipped.
    """

    open: Callable[[], Broker]
    """Build, unopened, one more client of the same broker, independent of all others."""
    crash: Callable[[Broker], Awaitable[None]] | None = None
    """Make an open client die as by ``kill -9``: nothing it has not sent ever reaches the broker.

    Its contexts are left afterwards, which must do nothing and take a bounded time.
    """
    outage: Callable[[], AbstractAsyncContextManager[None]] | None = None
    """Make the broker unreachable for every client while inside."""
    restart: Callable[[], Awaitable[None]] | None = None
    """Stop the broker's server and start it again; return when it serves."""
    unreachable: Callable[[], Broker] | None = None
    """Build a client for an address at which nobody listens."""
    expire: Callable[[str], Awaitable[None]] | None = None
    """Delete all that a topic holds now, read or not, as its retention would."""
    exact: bool = True
    """What was settled above an unsettled delivery is remembered by the broker.

    Otherwise everything from a stream's oldest unsettled delivery on may come again.
    """
    patience: float = 10.0
    """Seconds in which the broker does what it is asked to, takeover from the dead included."""
    quiet: float = 0.5
    """Seconds after which what has not come is taken not to come."""
    idle: float = 1.0
    """Seconds a member may go without polling; longer than the adapter's poll limit, if any."""
    drain: timedelta = timedelta(seconds=2)
    """Drain budget of the contract's subscriptions."""
    name: Callable[[], str] = fresh_name
    """Make a new name for a topic or a group."""
