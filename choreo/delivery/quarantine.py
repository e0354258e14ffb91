"""Which events are suspected of killing processes, and who of them may run beside whom (D7).

Theory of operation.  A process writes down what is in flight before it touches it.  What was in
flight as a process died is suspect with one crash more: innocents among it, too, but those end well
once they run alone, and are acquitted.  A suspect runs only when nothing else does, so that the
next crash is its own; with the last crash that is allowed it goes to the dead letters unread.
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
PROC = Path("/proc")


def fingerprint(message: Message) -> bytes:
    """Hash all of *message* that every broker hands over unchanged (BLAKE2b, RFC 7693)."""
    digest = blake2b(digest_size=SIZE)
    parts = [message.topic.encode("utf-8", "surrogatepass"), message.key, message.body]
    for name, value in message.headers:
        parts += (name.encode("utf-8", "surrogatepass"), value)
    for part in parts:
        digest.update(b"-" if part is None else b"%d:" % len(part))
        digest.update(part or b"")
    return digest.digest()


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
        self._crashes: dict[bytes, int] = {}

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._crashes)

    def learn(self, crashes: Mapping[bytes, int]) -> None:
        """Take over what the store knows."""
        self._crashes = dict(crashes)

    def suspected(self, event: bytes) -> bool:
        """Say whether *event* must run alone."""
        return event in self._crashes

    def condemned(self, event: bytes) -> int:
        """Tell in how many crashes *event* was, if those are too many; else 0."""
        crashes = self._crashes.get(event, 0)
        return crashes if crashes >= self._limit else 0

    def acquit(self, event: bytes) -> bool:
        """Suspect *event* no more; False if it was not suspect."""
        return self._crashes.pop(event, None) is not None


class Gate:
    """Lets many in at once, or one alone; who wants to be alone is not overtaken by the many."""

    def __init__(self) -> None:
        self._inside = 0
        self._alone = False
        self._queue: deque[tuple[bool, asyncio.Future[None]]] = deque()

    async def enter(self, *, alone: bool) -> None:
        """Return when inside."""
        if not self._queue and self._fits(alone=alone):
            self._admit(alone=alone)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((alone, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            elif (alone, turn) in self._queue:  # whoever let others in has not passed it over yet
                self._queue.remove((alone, turn))
                self._advance()
            raise

    def leave(self) -> None:
        """Let others in."""
        self._inside -= 1
        self._alone = False
        self._advance()

    def _advance(self) -> None:
        while self._queue and self._fits(alone=self._queue[0][0]):
            alone, turn = self._queue.popleft()
            if not turn.cancelled():
                self._admit(alone=alone)
                turn.set_result(None)

    def _fits(self, *, alone: bool) -> bool:
        return not self._alone and not (alone and self._inside)

    def _admit(self, *, alone: bool) -> None:
        self._inside += 1
        self._alone = alone
