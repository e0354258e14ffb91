"""The faults of a run, by the numbers of the fault matrix; each returns the proof that it bit."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

from choreo.testing.checker import Scribe
from tests.local import accepts_connections
from tests.patience import patient
from tests.prove.crew import READY, Crew, Member
from tests.prove.site import SESSION, Site

AFTER = 3.0
"""Seconds after a fault in which a process may still not know that its streams are another's."""
BETWEEN, SOON = "committed:5", 10.0
"""Where one process dies after those at random, and the seconds for it to come there."""
DOWN = 2.0
"""Seconds for which a broker is gone."""


@dataclass(slots=True, kw_only=True)
class Ring:
    """Whom the faults strike."""

    site: Site
    crew: Crew
    dice: Random
    scribe: Scribe
    seconds: float
    """How long a fault lasts that has no length of its own."""

    async def strike(self, name: str) -> str:
        """Let one fault happen, write down when, and return its proof; empty if it did not bite."""
        self.scribe.write("fault_start", time.monotonic(), text=name)
        proof = await BLOWS[name](self)
        await self.mended()
        result, value = "bit" if proof else "", SESSION + AFTER
        self.scribe.write("fault_end", time.monotonic(), text=name, value=value, result=result)
        return proof

    async def mended(self) -> None:
        """Bring back whoever is gone, and the ways to the broker."""
        self.site.proxy.heal()
        gone = [member for member in self.crew.members if not member.alive]
        await self.crew.start(*gone)
        for member in self.crew.members:
            assert member.child is not None
            await member.child.until_ready(READY)


async def kill(ring: Ring) -> str:
    """F1: kill -9 at random, restart after up to three seconds."""
    killed = 0
    until = time.monotonic() + ring.seconds
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < until or not killed:
            await asyncio.sleep(min(ring.dice.expovariate(0.5), 5.0))
            member = ring.dice.choice(ring.crew.members)
            if await ring.crew.kill(member):
                killed += 1
                group.create_task(_back(ring, member, 3 * ring.dice.random()))
    killed += await _between(ring)
    return f"{killed} processes ended by SIGKILL" if killed else ""


async def _back(ring: Ring, member: Member, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await ring.crew.begin(member)


async def _between(ring: Ring) -> bool:
    """Have one die where an effect is committed and the broker not told, if there is any to do."""
    member = ring.dice.choice(ring.crew.of("payment"))
    await ring.crew.kill(member)
    await ring.crew.begin(member, {"CHOREO_FAILPOINT": BETWEEN})
    died = await ring.crew.dies(member, SOON)
    if not died:
        await ring.crew.kill(member)
    await ring.crew.start(member)
    return died


async def freeze(ring: Ring) -> str:
    """F3: SIGSTOP for twice the session, SIGCONT: a zombie that knows nothing of it."""
    member = ring.dice.choice(ring.crew.of("payment"))
    child = member.child
    assert child is not None
    child.signal(signal.SIGSTOP)
    stood = 0
    for _ in range(4):
        await asyncio.sleep(2 * SESSION / 4)
        stood += child.stopped
    child.signal(signal.SIGCONT)
    return f"{member.task.proc} stood still for {2 * SESSION} s" if stood == 4 else ""


async def storm(ring: Ring) -> str:
    """F4: one member after the other leaves and joins, every half second."""
    if ring.site.each == 1:
        return await _reconnects(ring)
    second = [member for member in ring.crew.members if member.task.proc.endswith("-2")]
    before, toggles = _revocations(ring.crew), 0
    until = time.monotonic() + ring.seconds
    async with asyncio.TaskGroup() as group:
        leaving: dict[str, asyncio.Task[int]] = {}
        while time.monotonic() < until:
            member = ring.dice.choice(second)
            name = member.task.proc
            if member.alive and (name not in leaving or leaving[name].done()):
                leaving[name] = group.create_task(ring.crew.stop(member))
            elif not member.alive:
                await ring.crew.begin(member)
            toggles += 1
            await asyncio.sleep(0.5)
    after = _revocations(ring.crew)
    return f"{toggles} toggles, {after - before} revocations" if after > before else ""


async def _reconnects(ring: Ring) -> str:
    """Do to sessions what a storm does to groups: end every connection, again and again."""
    before = ring.site.proxy.cuts
    until = time.monotonic() + ring.seconds
    while time.monotonic() < until:
        ring.site.proxy.cut(politely=ring.dice.random() < 0.5)
        await asyncio.sleep(0.5)
    cuts = ring.site.proxy.cuts - before
    return f"{cuts} connections ended" if cuts else ""


def _revocations(crew: Crew) -> int:
    return sum(file.read_bytes().count(b'"kind":"revoke"') for file in crew.histories())


async def broker(ring: Ring) -> str:
    """F5: the broker is gone, and comes back with what it had.

    Kafka is killed; Mosquitto as shipped may lose two seconds of a kill, which its promise leaves
    out, and is asked to stop.
    """
    process, port = ring.site.broker, int(ring.site.direct.rpartition(":")[2])
    old = process.pid
    await asyncio.to_thread(process.kill if ring.site.kafka else process.terminate)
    refused = not accepts_connections(port)
    await asyncio.sleep(DOWN)
    await asyncio.to_thread(process.start)
    async with asyncio.timeout(patient(120)):
        while not accepts_connections(port):
            await asyncio.sleep(0.1)
    return f"{old} gone, port refused, {process.pid} came" if refused else ""


async def partition(ring: Ring) -> str:
    """F8: nothing passes between clients and broker: silently, one way, or with a refusal."""
    proxy, kind = ring.site.proxy, ring.dice.choice(["both", "up", "down", "refused"])
    held, refused, cuts = proxy.held, proxy.refusals, proxy.cuts
    if kind == "refused":
        proxy.refuse()
        proxy.cut()
    else:
        proxy.stall(kind)  # type: ignore[arg-type] # one of three
    await asyncio.sleep(min(ring.seconds, 10.0))
    proxy.heal()
    if kind == "refused":
        told = f"{proxy.cuts - cuts} connections cut, {proxy.refusals - refused} refused"
        return told if proxy.refusals > refused and proxy.cuts > cuts else ""
    return f"{kind}: {proxy.held - held} chunks held" if proxy.held > held else ""


async def terminate(ring: Ring) -> str:
    """F24: SIGTERM at random moments, sometimes twice."""
    stopped, until = 0, time.monotonic() + ring.seconds
    while time.monotonic() < until or not stopped:
        await asyncio.sleep(ring.dice.random())
        member = ring.dice.choice(ring.crew.members)
        if member.alive:
            status = await ring.crew.stop(member, times=ring.dice.choice((1, 2)))
            stopped += status == 0
            await ring.crew.start(member)
    return f"{stopped} processes stopped in order" if stopped else ""


BLOWS: Mapping[str, Callable[[Ring], Awaitable[str]]] = {
    "F1 kill -9": kill,
    "F3 zombie": freeze,
    "F4 rebalance storm": storm,
    "F5 broker restart": broker,
    "F8 partition": partition,
    "F24 SIGTERM": terminate,
}
