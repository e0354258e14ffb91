"""What one seed has in store for a world: drawn before it begins, so that it can be shrunk.

Swarm testing (Groce et al., ISSTA 2012): each seed switches some kinds of faults off altogether, as
runs in which everything goes wrong at once hide what goes wrong by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Literal, get_args

from choreo.failpoints import Point

Nemesis = Literal[
    "crash",  # power cut; comes back after a while
    "ambush",  # power cut at the next call of the broker or the store, before or after it counted
    "pause",  # stands still and goes on: a zombie
    "evict",  # loses its streams and does not hear of it at once
    "rebalance",
    "stop",  # ends in order, and comes back
    "session",  # a session is lost, with all that it holds (MQTT)
    "lock",  # somebody holds the store's tables for a while
    "broker",  # nothing answers for a while
    "store",  # nothing answers for a while
    "skew",  # a host's wall clock jumps
    "cut",  # one process reaches its broker no more, others do
    "disband",  # every group gives up all of its members, who hear of it by and by
]


Transport = Literal["kafka", "mqtt"]
"""Partitions that are shared and keep keys in order, or sessions of single clients that do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One blow, at one time."""

    at: float
    kind: Nemesis
    target: int = 0
    """Which of the hosts, counted through."""
    seconds: float = 0.0
    """How long it lasts; of a skew, by how much."""

    def __str__(self) -> str:
        """Tell it in a line."""
        return f"{self.kind} at {self.at:.3f} s, host {self.target}, {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """A blow at a point of the machinery: at a failpoint, whoever comes by."""

    point: Point
    rate: float
    """Probability of each arrival there."""
    kind: Literal["crash", "pause"] = "crash"
    seconds: float = 0.0
    """How long what is struck stands still, or is gone."""
    times: int = 1
    """How often it strikes, at most."""

    def __str__(self) -> str:
        """Tell it in a line."""
        often = "" if self.times == 1 else f" up to {self.times} times"
        return f"{self.kind} at {self.point}{often}, rate {self.rate:.2f}, {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Probabilities with which single calls go wrong."""

    refused: float = 0.0
    """A message is refused by the broker."""
    unknown: float = 0.0
    """A publish has no answer, and is stored in half of all cases."""
    duplicated: float = 0.0
    """A record is in the log twice, the second time some records later."""
    reordered: float = 0.0
    """A message overtakes others, of its own key, too (MQTT)."""
    uncommitted: float = 0.0
    """A group's commit is lost."""
    unstored: float = 0.0
    """The store fails before anything of a call counts."""
    doubtful: float = 0.0
    """The store fails after all of a call counted."""
    slow: float = 0.0
    """A call takes a hundred times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """All that one seed decides about a world, beside the order in which things run."""

    transport: Transport = "kafka"
    partitions: int = 1
    processes: int = 1
    """Of each service."""
    window: int = 20
    """Messages that a session has unacknowledged, at most (MQTT's Receive Maximum)."""
    queue: int = 1_000
    """Messages that wait in a session, at most; more are dropped (MQTT)."""
    latency: float = 0.01
    """Seconds that a call takes on average."""
    commit: float = 0.2
    """Seconds from a settlement to its commit, at most: what a crash repeats."""
    shuffled: bool = True
    """What is ready runs in an order that is drawn; otherwise first come, first served."""
    remembers: bool = True
    """The broker remembers what was settled above what is not."""
    rates: Rates = Rates()
    faults: tuple[Fault, ...] = ()
    traps: tuple[Trap, ...] = ()

    @property
    def troubles(self) -> list[str]:
        """Tell what goes wrong in it, a line each."""
        rates = [
            f"{one.name} {rate:.3f}"
            for one in fields(self.rates)
            if (rate := getattr(self.rates, one.name))
        ]
        return [*rates, *map(str, self.faults), *map(str, self.traps)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Climate:
    """What may go wrong at all: the limits within which every seed draws its weather."""

    transport: Transport = "kafka"
    """How the broker behaves: a Kafka's, or an MQTT's."""
    kinds: tuple[Nemesis, ...] = (
        "crash",
        "ambush",
        "pause",
        "evict",
        "rebalance",
        "stop",
        "session",
        "lock",
        "broker",
        "store",
        "skew",
        "disband",
    )
    rates: Rates = Rates(
        refused=0.02,
        unknown=0.1,
        duplicated=0.1,
        reordered=0.2,
        uncommitted=0.2,
        unstored=0.05,
        doubtful=0.05,
        slow=0.02,
    )
    """The highest of each."""
    faults: int = 8
    """Most blows of one seed."""
    seconds: float = 8.0
    """Virtual time within which they fall."""
    processes: int = 2
    """Most processes of one service."""
    traps: int = 3
    """Most points of the machinery at which a seed strikes whoever comes by."""

    def draw(self, random: Random, services: int) -> Weather:
        """Draw the weather of one seed for so many services."""
        processes = random.randint(1, self.processes)
        if self.transport == "mqtt":
            processes = 1  # of a group: a session has one client
        kinds: list[Nemesis] = [
            kind for kind in self.kinds if kind not in LATER and random.random() < SHARE
        ]
        drawn = [
            Fault(
                at=random.uniform(0.0, self.seconds),
                kind=random.choice(kinds),
                target=random.randrange(services * processes),
                seconds=_duration(random),
            )
            for _ in range(random.randint(0, self.faults) if kinds else 0)
        ]
        rates = {
            one.name: random.random() * getattr(self.rates, one.name)
            for one in fields(self.rates)
            if random.random() < SHARE
        }
        weather = Weather(
            transport=self.transport,
            window=random.choice((1, 3, 20)),
            queue=random.choice((3, 20, 1_000)),
            partitions=random.randint(1, 3),
            processes=processes,
            latency=random.choice((0.001, 0.01, 0.05)),
            commit=random.choice((0.05, 0.5, 5.0)),
            shuffled=random.random() < SHUFFLED,
            remembers=random.random() < SHARE,
            rates=replace(Rates(), **rates),
            traps=tuple(self._trap(random) for _ in range(random.randint(0, self.traps))),
        )
        drawn.extend(self._later(random))
        return replace(weather, faults=tuple(sorted(drawn, key=lambda fault: fault.at)))

    def _later(self, random: Random) -> Iterator[Fault]:
        """Draw what came to be drawn last: after all else, so that it moves nothing."""
        for kind in self.kinds:
            if kind in LATER and random.random() < SELDOM:
                at = random.uniform(0.0, self.seconds)
                yield Fault(at=at, kind=kind, seconds=_duration(random))

    def _trap(self, random: Random) -> Trap:
        return Trap(
            point=random.choice(PLACES),
            rate=random.choice((0.05, 0.3, 1.0)),
            kind="crash" if random.random() < CRASHES else "pause",
            seconds=_duration(random),
            times=random.randint(1, 3),
        )


CALM = Climate(kinds=(), rates=Rates(), faults=0, traps=0)
"""Nothing goes wrong; only the order in which things run is drawn."""
SHARE = 0.5
SELDOM = 0.1
LATER: tuple[Nemesis, ...] = ("disband",)
"""Kinds of which there is one in few seeds, for each time that a climate names them."""
SHUFFLED = 0.8
CRASHES = 0.75
"""Share of the traps that kill."""
PLACES: tuple[Point, ...] = tuple(one for one in get_args(Point) if one != "recorded")
"""The points that are on the way of a simulated service."""


def _duration(random: Random) -> float:
    """Draw seconds: mostly short, now and then longer than any lease."""
    (mean,) = random.choices((0.05, 0.5, 2.0, 8.0, 25.0), weights=(3, 3, 3, 2, 1))
    return mean * (0.5 + random.random())
