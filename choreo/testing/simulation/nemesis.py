"""Whoever strikes: carries out the faults of one seed at their times."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import assert_never

from choreo.testing.simulation.host import Host, Moment
from choreo.testing.simulation.loop import OWNER
from choreo.testing.simulation.process import Ground, Process
from choreo.testing.simulation.weather import Fault, Trap
from choreo.testing.simulation.wire import Conditions

BEFORE = 0.5
"""Share of ambushes that strike before a call has counted."""
LINGER = 2.0
"""Seconds after the scenario for which traps stay where they are."""
DOWN = 5.0
"""Seconds after which a killed process is there again, at most."""


class Nemesis:
    """The faults and the traps of one world."""

    def __init__(
        self,
        processes: Sequence[Process],
        ground: Ground,
        conditions: Conditions,
        traps: Sequence[Trap],
    ) -> None:
        self._processes = processes
        self._traps = [(trap, f"trap {number}") for number, trap in enumerate(traps)]
        self._sprung: Counter[str] = Counter()
        self._ground = ground
        self._conditions = conditions
        self._over = 0.0
        """When the last of what was begun ends."""

    def arrive(self, point: str) -> None:
        """Hear that a process has come to *point*, and strike it if a trap is there."""
        for trap, name in self._traps:
            if trap.point == point and self._sprung[name] < trap.times:
                host = OWNER.get()
                if isinstance(host, Host) and not host.dead and host.doom is None:
                    self._spring(trap, name, host)

    def _spring(self, trap: Trap, name: str, host: Host) -> None:
        process = next((one for one in self._processes if one.host is host), None)
        if process is None or self._conditions.chance(name) >= trap.rate:
            return
        self._sprung[name] += 1
        fault = Fault(at=self._ground.loop.time(), kind=trap.kind, seconds=trap.seconds)

        def befall() -> None:
            host.doom = None
            if not host.dead:
                self._tell(str(host), f"has come to {trap.point}")
                strike = self._crash if trap.kind == "crash" else self._pause
                strike(process, fault)

        host.doom = befall

    async def rage(self, faults: Sequence[Fault]) -> None:
        """Strike whenever it is time, counted from now."""
        began = self._ground.loop.time()
        for fault in faults:
            await asyncio.sleep(max(0.0, began + fault.at - self._ground.loop.time()))
            self._strike(fault)

    async def relent(self) -> None:
        """Lie in wait for nobody any more, and return when all that was begun is over."""
        if self._traps:  # for what the last events of a scenario come by
            await asyncio.sleep(LINGER)
            self._traps = []
        for process in self._processes:
            if process.host is not None:
                process.host.walk_free()
        while (rest := self._over - self._ground.loop.time()) > 0:  # noqa: ASYNC110 -- virtual time
            await asyncio.sleep(rest)

    def _strike(self, fault: Fault) -> None:  # noqa: C901, PLR0912 -- one branch for each kind
        process = self._processes[fault.target % len(self._processes)]
        match fault.kind:
            case "crash":
                self._crash(process, fault)
            case "ambush":
                self._ambush(process, fault)
            case "pause":
                self._pause(process, fault)
            case "evict":
                self._evict(process, fault)
            case "rebalance":
                self._ground.cluster.rebalance()
                self._tell("", "every group is dealt anew")
            case "cut":
                self._cut(process, fault)
            case "disband":
                self._disband(fault)
            case "stop":
                self._stop(process, fault)
            case "session":
                if self._ground.cluster.mqtt:
                    self._tell("", f"the session of {process.service} is lost")
                    self._ground.cluster.sessions.lose(process.service)
            case "lock":
                self._lock(process, fault)
            case "broker":
                self._fail_broker(fault)
            case "store":
                self._fail_store(process, fault)
            case "skew":
                self._skew(process, fault)
            case _ as never:
                assert_never(never)

    def _crash(self, process: Process, fault: Fault) -> None:
        process.kill()
        self._after(min(fault.seconds, DOWN), process.start)

    def _ambush(self, process: Process, fault: Fault) -> None:
        host = process.host
        if host is None or host.dead:
            return

        def kill() -> None:
            if process.host is host:
                self._crash(process, fault)

        moment: Moment = "before" if self._conditions.chance("ambush") < BEFORE else "after"
        host.lie_in_wait(moment, kill)
        self._tell(str(host), f"is to die {moment} its next call counts")

    def _pause(self, process: Process, fault: Fault) -> None:
        host = process.host
        if host is None or host.dead or host.paused:
            return
        self._tell(str(host), f"stands still for {fault.seconds:.2f} s")
        host.pause()
        self._ground.cluster.silent(host)

        def go_on() -> None:
            if not host.dead:
                self._tell(str(host), "goes on")
                host.go_on()

        self._after(fault.seconds, go_on)

    def _evict(self, process: Process, fault: Fault) -> None:
        host = process.host
        if host is not None and not host.dead:
            self._tell(str(host), f"is evicted, and hears of it after {fault.seconds:.2f} s")
            self._ground.cluster.evict(host, fault.seconds)
            self._after(fault.seconds, _nothing)

    def _cut(self, process: Process, fault: Fault) -> None:
        host, cluster = process.host, self._ground.cluster
        if host is not None and not host.dead:
            self._tell(str(host), f"reaches its broker no more for {fault.seconds:.2f} s")
            cluster.cut_off(host)
            self._after(fault.seconds, lambda: cluster.mend(host))

    def _disband(self, fault: Fault) -> None:
        if not self._ground.cluster.mqtt:
            within = f"{fault.seconds:.2f} s"
            self._tell("", f"no group has a member any more, and they hear of it within {within}")
            self._ground.cluster.disband(fault.seconds)
            self._after(fault.seconds, _nothing)

    def _stop(self, process: Process, fault: Fault) -> None:
        if isinstance(process.host, Host) and process.ready and not process.host.paused:
            process.stop()
            self._again_when_gone(process, min(fault.seconds, DOWN))

    def _again_when_gone(self, process: Process, seconds: float) -> None:
        host = process.host

        def look() -> None:
            if process.gone:
                process.start()
            elif process.host is host:
                self._again_when_gone(process, 1.0)

        self._after(seconds, look)

    def _fail_broker(self, fault: Fault) -> None:
        cluster = self._ground.cluster
        self._tell("", f"the broker is down for {fault.seconds:.2f} s")
        cluster.down = True

        def up() -> None:
            cluster.down = False

        self._after(fault.seconds, up)

    def _fail_store(self, process: Process, fault: Fault) -> None:
        database = self._ground.databases.get(process.service)
        if database is None:
            return
        self._tell("", f"the store of {process.service} is down for {fault.seconds:.2f} s")
        database.server.down = True

        def up() -> None:
            database.server.down = False

        self._after(fault.seconds, up)

    def _skew(self, process: Process, fault: Fault) -> None:
        """Move a wall clock: by a little or by hours, ahead or back."""
        seconds = fault.seconds * self._conditions.choice("skew", (1.0, -1.0, 200.0, -200.0))
        process.skew(seconds)
        self._tell(str(process.host), f"has its clock moved by {seconds:.2f} s")

    def _lock(self, process: Process, fault: Fault) -> None:
        database = self._ground.databases.get(process.service)
        if database is not None:
            self._tell("", f"the store of {process.service} is locked for {fault.seconds:.2f} s")
            until = self._ground.loop.time() + fault.seconds
            database.server.locked = max(database.server.locked, until)
            self._after(fault.seconds, _nothing)

    def _after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._over = max(self._over, self._ground.loop.time() + seconds)
        self._ground.later(seconds, callback)

    def _tell(self, host: str, text: str) -> None:
        self._ground.stage.tell("fault", host, text)


def _nothing() -> None:
    return
