"""Which events are suspected of killing processes, and who of them may run beside whom (D7).

Theory of operation.  A process writes down what is in flight before it touches it.  What was in
flight as a process died is suspect with one crash more: innocents among it, too, mostly nothing
else, as most processes are killed from outside.  So the first crashes only narrow the circle:
suspects of them run in small parties, one party at a time, and what ends well is acquitted.  An
event whose next crash but one would condemn it runs when nothing else does, so that its last two
crashes are its own; with them it goes to the dead letters unread.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from choreo.message import Message
from choreo.store.flights import Incarnation

SIZE = 16
NAMES = 1024
"""Topics and names of headers that are kept framed, of those that are no longer than usual."""
USUAL = 256
LENGTHS = tuple(b"%d:" % length for length in range(USUAL))
"""What stands before a value of each length."""
PROC = Path("/proc")


def fingerprint(message: Message) -> bytes:
    """Hash all of *message* that every broker hands over unchanged (BLAKE2b, RFC 7693)."""
    named = _named
    parts = [named[message.topic], *_framed(message.key), *_framed(message.body)]
    for name, value in message.headers:
        # Most are short, and their length is not written anew.
        if value is not None and (length := len(value)) < USUAL:
            parts += (named[name], LENGTHS[length], value)
        else:
            parts += (named[name], *_framed(value))
    return blake2b(b"".join(parts), digest_size=SIZE).digest()


def _framed(part: bytes | None) -> tuple[bytes, bytes]:
    """Write the length before *part*, so that no two messages are the same text."""
    return (b"-", b"") if part is None else (b"%d:" % len(part), part)


class _Names(dict[str, bytes]):
    """Topics and names of headers, framed: they are few, and short, unless made up."""

    def __missing__(self, name: str) -> bytes:
        framed = b"".join(_framed(name.encode("utf-8", "surrogatepass")))
        if len(name) <= USUAL:
            if len(self) >= NAMES:
                self.clear()
            self[name] = framed
        return framed


_named = _Names()


def incarnation(identity: str) -> Incarnation:
    """Describe this process, so that others on its machine can see when it is gone."""
    pid = os.getpid()
    try:
        space = (PROC / "self/ns/pid").readlink()
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return Incarnation(id=identity, host="", pid=pid, started="")
    return Incarnation(id=identity, host=f"{boot} {space}", pid=pid, started=started(pid) or "")


def started(pid: int) -> str | None:
    """Tell when a process of this machine began, in ticks since its boot; None if it is gone.

    Source: proc(5), field 22 of ``stat``; the name in field 2 may hold anything but ``)``.
    """
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def gone(own: Incarnation, others: Iterable[Incarnation]) -> list[Incarnation]:
    """List those of *others* that lived beside *own* and are known to be dead."""
    return [
        other
        for other in others
        if other.host and other.host == own.host and started(other.pid) != other.started
    ]


class Suspects:
    """The suspects of one service, as far as one process knows them."""

    def __init__(self, limit: int) -> None:
        """Condemn what has been in *limit* crashes, 2 at least: the first may be another's."""
        self._limit = max(2, limit)
        self._lone = max(1, self._limit - 2)
        self._crashes: dict[bytes, int] = {}

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._crashes)

    def learn(self, crashes: Mapping[bytes, int]) -> None:
        """Take over what the store knows."""
        self._crashes = dict(crashes)

    def suspected(self, event: bytes) -> bool:
        """Say whether *event* was in a crash."""
        return event in self._crashes

    def alone(self, event: bytes) -> bool:
        """Say whether *event* must run while nothing else does."""
        return self._crashes.get(event, 0) >= self._lone

    def condemned(self, event: bytes) -> int:
        """Tell in how many crashes *event* was, if those are too many; else 0."""
        crashes = self._crashes.get(event, 0)
        return crashes if crashes >= self._limit else 0

    def acquit(self, event: bytes) -> bool:
        """Suspect *event* no more; False if it was not suspect."""
        return self._crashes.pop(event, None) is not None


class Party:
    """Suspects that run beside each other and beside nobody else: one of them, or a few."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._members: dict[bytes, int] = {}
        self.flight = 0
        """Its flight while any of it runs; 0 while none does."""
        self.boarding = asyncio.Lock()

    @property
    def full(self) -> bool:
        """Say whether it takes nobody in any more, because of its size or because it runs."""
        return self.flight > 0 or self.boarding.locked() or len(self._members) >= self._limit

    def join(self, event: bytes) -> None:
        """Take *event* in; a copy of it is one member more by the same name."""
        self._members[event] = self._members.get(event, 0) + 1

    def quit(self, event: bytes) -> None:
        """Hear that *event* has ended, or goes elsewhere."""
        left = self._members.pop(event, 0) - 1
        if left > 0:
            self._members[event] = left

    def members(self) -> list[bytes]:
        """List who may run."""
        return list(self._members)


class Gate:
    """Lets the many in, or one party; who waits for the others to leave is overtaken by nobody.

    Only the party inside lets more of its own in meanwhile: it has an end.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._party: Party | None = None
        self._queue: deque[tuple[Party | None, asyncio.Future[None]]] = deque()

    async def enter(self, party: Party | None) -> None:
        """Return when inside, as one of *party*, or of the many."""
        own = party is not None and self._inside > 0 and self._party is party
        if own or (not self._queue and self._fits(party)):
            self._admit(party)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((party, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            elif (party, turn) in self._queue:  # whoever let others in has not passed it over yet
                self._queue.remove((party, turn))
                self._advance()
            raise

    def leave(self) -> bool:
        """Let others in; say whether nobody was left inside."""
        self._inside -= 1
        empty = not self._inside
        self._advance()
        return empty

    def _advance(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            party, turn = self._queue.popleft()
            if not turn.cancelled():
                self._admit(party)
                turn.set_result(None)

    def _fits(self, party: Party | None) -> bool:
        return not self._inside or self._party is party

    def _admit(self, party: Party | None) -> None:
        self._inside += 1
        self._party = party
