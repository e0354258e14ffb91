"""What can go wrong between a client and its server, by way of a Proxy."""

from typing import Literal

from choreo.testing.faults.proxy import Direction, Proxy


class Cut:
    """Every connection ends in the middle of what it does, and none begins until it is over."""

    def __init__(self, proxy: Proxy) -> None:
        self.name = "connections cut and refused"
        self._proxy = proxy
        self._before = (0, 0)

    async def begin(self) -> None:
        """Cut, and refuse."""
        self._before = (self._proxy.cuts, self._proxy.refusals)
        self._proxy.refuse()
        self._proxy.cut()

    async def end(self) -> str:
        """Let connections begin."""
        self._proxy.heal()
        cuts, refusals = self._proxy.cuts - self._before[0], self._proxy.refusals - self._before[1]
        return f"{cuts} cut, {refusals} refused" if cuts or refusals else ""


class BlackHole:
    """Connections stay open and begin, and nothing passes, in both directions or in one."""

    def __init__(self, proxy: Proxy, direction: Direction = "both") -> None:
        self.name = f"nothing passes ({direction})"
        self._proxy = proxy
        self._direction: Direction = direction
        self._before = 0

    async def begin(self) -> None:
        """Stall."""
        self._before = self._proxy.held
        self._proxy.stall(self._direction)

    async def end(self) -> str:
        """Let pass what was held."""
        held = self._proxy.held - self._before
        self._proxy.heal()
        return f"{held} chunks held" if held else ""


class Slow:
    """Everything comes later, or no faster than a rate."""

    def __init__(
        self,
        proxy: Proxy,
        *,
        delay: float = 0.0,
        rate: float = 0.0,
        direction: Direction = "both",
    ) -> None:
        """Add *delay* seconds each way, or pass *rate* bytes a second on each connection."""
        kind: Literal["slow", "throttled"] = "throttled" if rate else "slow"
        self.name = f"{kind} link ({direction})"
        self._proxy = proxy
        self._delay = delay
        self._rate = rate
        self._direction: Direction = direction
        self._before = 0

    async def begin(self) -> None:
        """Slow down."""
        self._before = self._proxy.carried
        self._proxy.slow(delay=self._delay, rate=self._rate, direction=self._direction)

    async def end(self) -> str:
        """Let it flow."""
        carried = self._proxy.carried - self._before
        self._proxy.heal()
        return f"{carried} bytes came late" if carried else ""
