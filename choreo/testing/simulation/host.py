"""A process of a simulated service: it lives, is paused, dies and comes back as another life."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal
from uuid import UUID

from choreo.clock import Clock, Timer
from choreo.environment import Environment
from choreo.ids import Ids
from choreo.testing.simulation.loop import Call, SimulationLoop

Moment = Literal["before", "after"]
"""Whether a call has counted when its caller dies."""
START = datetime(2000, 1, 1, tzinfo=UTC)
VERSION_7 = 0x7 << 76
VARIANT = 0x2 << 62
LOW = (1 << 62) - 1


class HostClock:
    """The clocks of one host: a wall clock of its own over the virtual time of all."""

    def __init__(self, loop: SimulationLoop, skew: float = 0.0) -> None:
        self._loop = loop
        self.skew = skew
        """Seconds by which its wall clock is ahead of the world's."""

    def now(self) -> datetime:
        """Tell the wall time, aware, in UTC."""
        return START + timedelta(seconds=self._loop.time() + self.skew)

    def monotonic(self) -> float:
        """Tell the virtual seconds: they go on while the host is paused."""
        return self._loop.time()

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        """Run *callback* once, *seconds* from now."""
        return self._loop.call_later(seconds, callback)

    async def sleep(self, seconds: float, /) -> None:
        """Return *seconds* from now."""
        await asyncio.sleep(seconds)


class SeededIds:
    """Ids as UUIDv7 has them (RFC 9562), of virtual time and a seed."""

    def __init__(self, clock: HostClock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._last = 0

    def new(self) -> str:
        """Make an id that was never made before; ids made later sort later."""
        moment = (self._clock.now() - START).total_seconds() + START.timestamp()
        self._last = max(self._last + 1, int(moment * 1_000))
        low = self._random.getrandbits(62) & LOW
        return str(UUID(int=self._last << 80 | VERSION_7 | VARIANT | low))


class Host:
    """One process of one service, in one of its lives."""

    def __init__(self, name: str, life: int, loop: SimulationLoop, random: Random) -> None:
        self.name = name
        self.life = life
        """1 for the first."""
        self.dead = False
        self.held: list[Call] | None = None
        self.doom: Callable[[], None] | None = None
        """What befalls it when the callback that runs has run: code cannot be left half way.

        Whatever it still does by then is its own: its next call of a server comes too late.
        """
        self._loop = loop
        self._pauses = self._cuts = 0
        self.cut = 0
        """How many things keep it from its broker."""
        self._ambush: tuple[Moment, Callable[[], None]] | None = None
        self.clock = HostClock(loop)
        self.random = random
        self.environment = Environment(
            clock=self.clock, ids=SeededIds(self.clock, random), random=random
        )

    def __str__(self) -> str:
        """Name it and its life."""
        return f"{self.name}#{self.life}"

    @property
    def paused(self) -> bool:
        """Say whether it stands still."""
        return self.held is not None

    @property
    def silence(self) -> tuple[bool, int]:
        """Say whether it answers nobody now, and which of its pauses it is."""
        return (self.dead or self.paused or self.cut > 0, self._pauses + self._cuts)

    def pause(self) -> None:
        """Stand still, as by SIGSTOP."""
        if self.held is None:
            self.held = []
            self._pauses += 1

    def cut_off(self) -> None:
        """Have no line to its broker, until that is *mended*."""
        self.cut += 1
        self._cuts += 1

    def mended(self) -> None:
        """Have the line again, unless something else keeps it from that."""
        self.cut -= 1

    def go_on(self) -> None:
        """Go on as if nothing had been, as by SIGCONT."""
        held, self.held = self.held, None
        if held:
            self._loop.again(held)

    def lie_in_wait(self, moment: Moment, kill: Callable[[], None]) -> None:
        """Have *kill* called at its next call of a server, before or after that has counted."""
        self._ambush = (moment, kill)

    def walk_free(self) -> None:
        """Have nobody lie in wait any more."""
        self._ambush = None

    def struck(self, moment: Moment) -> bool:
        """Say whether it is dead, having it killed if somebody lies in wait for this."""
        if self._ambush is not None and self._ambush[0] == moment and not self.dead:
            kill, self._ambush = self._ambush[1], None
            kill()
        return self.dead

    def die(self) -> None:
        """Run nothing any more, no ``finally`` either."""
        self.dead = True
        self.held = None


_clock: type[Clock] = HostClock
_ids: type[Ids] = SeededIds
