"""Named points on an event's way at which a test may end or stop this process; inert otherwise.

    CHOREO_FAILPOINT=committed:3       kill this process when it gets there for the third time
    CHOREO_FAILPOINT=claimed=stop      stop it there, until somebody continues it
    CHOREO_FAILPOINT_LOG=arrivals.txt  write down every arrival, whether anything happens there

Both are read once, when this module is imported.  Killing is SIGKILL: nothing is closed, flushed or
rolled back by us, as when the power goes.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, get_args

from choreo.errors import ConfigurationError

Point = Literal[
    # taking in
    "received",  # a batch came from the broker
    "boarded",  # the flight log says what this process is about to touch
    "recalled",  # the store told what it knows of it
    "accepted",  # an event waits in its lane
    # handling
    "decoded",
    "leased",
    "claimed",  # in the handler's transaction
    "handling",  # before the handler's first line
    "handled",  # what it emitted is encoded
    # ending
    "ending",  # before anything of the end is written
    "recorded",  # all of it is written, or goes with the commit, and nothing committed
    "committed",  # the relay does not know of it yet
    # failing
    "failing",  # before a failed attempt is noted
    "noted",
    # parking
    "parking",  # before a failed event is laid into the lot
    "parked",
    "joining",  # before those behind it are laid there, too
    "joined",
    "resumed",  # the first of a line was read, to be handled once more
    # burying
    "burying",  # before the dead letter is sent
    "lettered",  # the broker has it, and the books do not know
    "buried",  # the books know
    # settling
    "settling",  # before the broker's client is told
    "settled",  # before the client tells the broker
    "acknowledging",  # before the commit, or the acknowledgements, go out
    "acknowledged",
    # relaying
    "relay_read",
    "relay_sending",
    "relay_sent",  # the broker has it, and the outbox too
    "relay_settled",
]
DeskPoint = Literal[
    "desk_sending",  # before a wave of replays goes out, or what goes elsewhere
    "desk_sent",  # the broker has it; what goes elsewhere is not written down yet
    "desk_noting",  # before it is written down that letters were sent elsewhere, edited or dropped
    "desk_noted",  # letters that are kept for their own sake lie there still
]
"""Where a desk of dead letters may end; ``Point`` are those of a service."""
POINTS: frozenset[str] = frozenset(get_args(Point))
DESK_POINTS: frozenset[str] = frozenset(get_args(DeskPoint))

ORDER = re.compile(r"(?P<point>\w+)(?::(?P<nth>[1-9]\d*))?(?:=(?P<action>kill|stop))?")
ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Failpoints:
    """What is to happen at which arrival, for one process."""

    def __init__(
        self, orders: Mapping[tuple[str, int], signal.Signals], log: Path | None = None
    ) -> None:
        """Send this process the signal of (point, number of the arrival there, from 1)."""
        self._orders = orders
        self._arrivals: Counter[str] = Counter()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._log = None if log is None else os.open(log, flags, 0o600)

    def arrive(self, point: str) -> None:
        """Write the arrival down, then do what was ordered for it."""
        self._arrivals[point] += 1
        nth = self._arrivals[point]
        if self._log is not None:
            os.write(self._log, f"{os.getpid()} {point} {nth}\n".encode())
        ordered = self._orders.get((point, nth))
        if ordered is not None:
            os.kill(os.getpid(), ordered)


def from_environment(environment: Mapping[str, str]) -> Failpoints | None:
    """Read both variables; None if neither is set; ConfigurationError for what is no order."""
    text, log = environment.get("CHOREO_FAILPOINT"), environment.get("CHOREO_FAILPOINT_LOG")
    if not text and not log:
        return None
    orders: dict[tuple[str, int], signal.Signals] = {}
    for order in filter(None, (text or "").split(",")):
        found = ORDER.fullmatch(order.strip())
        if found is None:
            raise ConfigurationError(
                f"CHOREO_FAILPOINT={text!r}: write point, point:3 or point:3=stop, with commas"
            )
        place = (found["point"], int(found["nth"] or 1))
        orders[place] = ACTIONS[found["action"] or "kill"]
    return Failpoints(orders, Path(log) if log else None)


class Armed(Protocol):
    """What hears of every arrival."""

    def arrive(self, point: str, /) -> None:
        """Do what is to happen there."""
        ...


armed: list[Armed] = []
"""Who hears of arrivals, the last of them; what every event passes looks here before it calls."""


def arm(environment: Mapping[str, str]) -> None:
    """Do from now on what *environment* orders, and nothing else; raises ConfigurationError."""
    ordered = from_environment(environment)
    armed[:] = [] if ordered is None else [ordered]


arm(os.environ)


def reached(point: Point | DeskPoint, /) -> None:
    """Arrive at *point*."""
    if armed:
        armed[-1].arrive(point)


@contextmanager
def watched(arrive: Callable[[str], None], /) -> Generator[None]:
    """Have *arrive* hear of every arrival within the block, and nobody else: a simulation's way."""
    watch = _Watch(arrive)
    armed.append(watch)
    try:
        yield
    finally:
        armed.remove(watch)


class _Watch:
    def __init__(self, arrive: Callable[[str], None]) -> None:
        self.arrive = arrive
