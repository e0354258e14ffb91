"""How long events wait from publish to handler on real Kafka, at shares of what can be done."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from uuid import uuid4

from bench import raw_kafka
from bench.events import KEYS, Load, Tally, loads
from bench.measure import RUN_SECONDS, Result, Stopwatch, compared
from choreo import Service
from choreo.runner import started

SHARES = (10, 50, 80)
"""Per cent of the capacity at which events are published."""
SECONDS = 4.0
"""Of publishing at each share."""
SATURATED = 20_000
"""Events that tell the capacity."""
CALL = 500
RAW_TOPIC = "bench-raw-loads"
TICK = 0.002
"""Seconds between two looks at what is due."""
STALL = 100.0
"""Milliseconds that no event may wait, where no rebalance comes between."""
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}

Publish = Callable[[Sequence[Load]], Awaitable[object]]
Waits = tuple[dict[int, list[float]], dict[int, list[float]]]
"""Milliseconds by share, choreo's and the raw client's."""
Side = Callable[[str, "Arrivals"], AbstractAsyncContextManager[Publish]]


@dataclass(slots=True)
class Arrivals:
    """Notes when each event of a run was handled, and insists on the order of each key."""

    run: str = ""
    times: list[float] = field(default_factory=list)
    tally: Tally = field(default_factory=lambda: Tally(0))
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def expect(self, run: str, events: int) -> None:
        """Be done after so many events of *run*."""
        self.run, self.times, self.tally = run, [0.0] * events, Tally(events)
        self.done.clear()

    def note(self, load: Load) -> None:
        """Note one event; those of other runs came before this one."""
        if load.run != self.run:
            return
        place = load.number * KEYS + int(load.customer.removeprefix("customer-"))
        self.times[place] = perf_counter()
        if self.tally.note(load):
            self.done.set()


async def latency(runs: int, bootstrap: str) -> Sequence[Result]:
    """Measure how long events wait at each share of the smaller capacity of the two, in turn."""
    sides: tuple[Side, Side] = (_choreo, _raw)
    rounds: list[Waits] = []
    for number in range(min(runs, 2)):
        async with asyncio.timeout(RUN_SECONDS):
            rounds.append(await _round(bootstrap, sides, turned=bool(number % 2)))
    results: list[Result] = []
    for share in SHARES:
        for name, quantile in QUANTILES.items():
            pairs = [(at(a[share], quantile), at(b[share], quantile)) for a, b in rounds]
            results.append(compared(f"latency_{share}_{name}", pairs, unit="ms", better="less"))
    longest = [tuple(max(map(max, one.values())) for one in pair) for pair in rounds]
    stalls = [(ours, STALL) for ours, _ in longest]
    results.append(compared("latency_stall", stalls, unit="ms", better="less"))
    pairs = [(ours, raw) for ours, raw in longest]
    results.append(compared("latency_longest", pairs, unit="ms", better="less"))
    return results


def at(waits: Sequence[float], quantile: float) -> float:
    """Tell the wait that so large a part of *waits* does not exceed."""
    ordered = sorted(waits)
    return ordered[min(int(len(ordered) * quantile), len(ordered) - 1)]


def waited(times: Sequence[float], began: float, rate: float) -> list[float]:
    """Tell in milliseconds how long each event waited since it was due: who publishes may be late.

    To count from the moment of publishing would leave out what a stall holds up before it.
    """
    return [(time - began - place / rate) * 1e3 for place, time in enumerate(times)]


async def _round(bootstrap: str, sides: tuple[Side, Side], *, turned: bool) -> Waits:
    """Let both sides be started, then take turns at every share."""
    ours, theirs = Arrivals(), Arrivals()
    async with sides[0](bootstrap, ours) as send, sides[1](bootstrap, theirs) as raw_send:
        both = ((ours, send), (theirs, raw_send))
        for arrivals, publish in both:
            await _warm(arrivals, publish)
        Stopwatch().begin()
        capacity = min([await _saturated(*one) for one in both])
        found: Waits = ({}, {})
        for share in SHARES:
            for place in (1, 0) if turned else (0, 1):
                rate = capacity * share / 100
                found[place][share] = await _paced(*both[place], rate)
        return found


async def _warm(arrivals: Arrivals, publish: Publish) -> None:
    """Publish until every partition is read, where each side begins at the end."""
    while True:
        run = uuid4().hex
        arrivals.expect(run, KEYS)
        await publish(loads(run, KEYS))
        try:
            async with asyncio.timeout(2.0):
                await arrivals.done.wait()
        except TimeoutError:
            continue
        return


async def _saturated(arrivals: Arrivals, publish: Publish) -> float:
    """Tell how many events a second are published and handled when there is no pause."""
    run = uuid4().hex
    events = loads(run, SATURATED)
    arrivals.expect(run, SATURATED)
    began = perf_counter()
    for start in range(0, SATURATED, CALL):
        await publish(events[start : start + CALL])
    await arrivals.done.wait()
    return SATURATED / (perf_counter() - began)


async def _paced(arrivals: Arrivals, publish: Publish, rate: float) -> list[float]:
    """Publish so many a second, all that is due in one call, and tell how long each waited."""
    run, total = uuid4().hex, int(rate * SECONDS)
    events = loads(run, total)
    arrivals.expect(run, total)
    began, sent = perf_counter(), 0
    while sent < total:
        due = min(int((perf_counter() - began) * rate) + 1, total, sent + CALL)
        if due > sent:
            await publish(events[sent:due])
            sent = due
        else:
            await asyncio.sleep(TICK)
    await arrivals.done.wait()
    return waited(arrivals.times, began, rate)


@asynccontextmanager
async def _choreo(bootstrap: str, arrivals: Arrivals) -> AsyncGenerator[Publish]:
    name = f"bench-{uuid4().hex[:8]}"
    service = Service(name, broker=f"kafka://{bootstrap}", start="latest")

    @service.on(Load)
    async def handle(load: Load) -> None:
        arrivals.note(load)

    async with started(service):
        yield service.publish_many


@asynccontextmanager
async def _raw(bootstrap: str, arrivals: Arrivals) -> AsyncGenerator[Publish]:
    async with (
        raw_kafka.handling(bootstrap, RAW_TOPIC, arrivals.note),
        raw_kafka.sending(bootstrap, RAW_TOPIC) as send,
    ):
        yield send
