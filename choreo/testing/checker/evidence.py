"""All that is known of one run when it is over: who subscribed, and what truth says happened.

In the order in which they are believed: rows of the database, the broker's log, what processes say.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeVar

from choreo.testing.checker.entries import Entry, Kind

T = TypeVar("T")
K = TypeVar("K")

Share = tuple[str, str, str]
"""Service, handler and id: one handler's share of one event."""
Lane = tuple[str, str, str]
"""Service, handler and key: what is kept in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One handler, and what is promised of it."""

    service: str
    handler: str
    type: str
    topic: str
    durable: bool = True
    """Its effects are rows of a database, written in its event's own transaction."""
    ordered: bool = True
    emits: Sequence[str] = ()
    """Types of exactly the events that each effect leads to, in their order."""
    may_emit: Sequence[str] = ()
    """Types of events that an effect may lead to, or not."""
    attempts: int = 0
    """How often it may try; 0: not limited."""
    quarantine: int = 0
    """Deaths of processes after which an event may not be begun again; 0: not limited."""
    derive: Callable[[str, int], str] | None = None
    """The id of the n-th event emitted because of an id, where ids are derived."""

    def makes(self, kind: str) -> bool:
        """Say whether events of a type may come from it."""
        return kind in self.emits or kind in self.may_emit

    @property
    def name(self) -> str:
        """Service and handler."""
        return f"{self.service}.{self.handler}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A row of the ledger, which no constraint guards; the order of rows is that of commits."""

    service: str
    handler: str
    id: str
    key: str = ""
    seq: int = 0
    epoch: int = 0
    at: float = -1.0
    """When the row was written; below 0 if nobody knows."""
    payload: str = ""
    proc: str = ""
    incarnation: int = 0
    generation: int = 0
    """Which replay from the dead letters it is of; 0 for the original."""
    emitted: Sequence[str] = ()
    """Ids of what it led to, where the store tells; else the subscriber's *emits* say what must."""

    @property
    def share(self) -> Share:
        """Whose effect of what it is."""
        return (self.service, self.handler, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One record as the broker has it."""

    topic: str
    tp: str
    offset: int
    id: str
    type: str = ""
    key: str = ""
    seq: int = 0
    corr: str = ""
    cause: str = ""
    payload: str = ""
    at: float = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead letter as the broker has it."""

    service: str
    handler: str
    """Empty if the record was given up for all handlers of the service."""
    id: str
    payload: str = ""
    at: float = -1.0


Sight = Literal[
    "redelivery",
    "dedupe hit",
    "rebalance",
    "kill between effect and ack",
    "stale-epoch ack",
    "dead letter",
    "gap filled",
    "gap skipped",
    "unknown publish that existed",
    "unknown publish that did not",
    "saga completed",
    "saga compensated",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the run was held to."""

    recovery: float = 60.0
    """Seconds from the healing to the last effect."""
    rss: float = 0.0
    """Bytes a process may hold; 0: not limited."""
    queue: float = 0.0
    span: float = 0.0
    patience: float = 0.001
    """Seconds by which clocks of processes and of the database may differ."""
    sights: frozenset[Sight] = frozenset()
    """What the run must have seen to show anything."""
    faults: frozenset[str] = frozenset()
    """Faults that must have bitten."""


@dataclass(kw_only=True)
class Evidence:
    """One run."""

    subscribers: Sequence[Subscriber]
    entries: Sequence[Entry] = ()
    """By time."""
    effects: Sequence[Effect] = ()
    """In the order of their commits."""
    log: Sequence[Logged] = ()
    """Dead letters are not among them."""
    letters: Sequence[Letter] = ()
    committed: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """Group and stream: the place at the end; empty for brokers without."""
    final: bool = True
    """The run is over: nothing may be in flight."""
    log_known: bool = True
    """The log could be read; else only what processes say is known of it."""
    bounds: Bounds = field(default_factory=Bounds)

    def of(self, *kinds: Kind) -> Iterator[Entry]:
        """Go through the entries of some kinds."""
        for kind in kinds:
            yield from self._kinds.get(kind, ())

    @cached_property
    def _kinds(self) -> Mapping[str, list[Entry]]:
        return _grouped(self.entries, lambda entry: entry.kind)

    @cached_property
    def handlers(self) -> Mapping[tuple[str, str], Subscriber]:
        """Every subscriber by service and handler."""
        return {(one.service, one.handler): one for one in self.subscribers}

    @cached_property
    def readers(self) -> Mapping[tuple[str, str], list[Subscriber]]:
        """Subscribers by topic and type."""
        return _grouped(self.subscribers, lambda one: (one.topic, one.type))

    @cached_property
    def first(self) -> Mapping[str, Logged]:
        """The first record of each id."""
        found: dict[str, Logged] = {}
        for record in self.log:
            found.setdefault(record.id, record)
        return found

    @cached_property
    def effective(self) -> Mapping[Share, Effect]:
        """The first effect of each share."""
        found: dict[Share, Effect] = {}
        for effect in self.effects:
            found.setdefault(effect.share, effect)
        return found

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """The event because of which each was emitted, by effects that know what they led to."""
        return {one: effect.id for effect in self.effects for one in effect.emitted}

    @cached_property
    def dead(self) -> Mapping[Share, Letter]:
        """The first letter of each share; one for all of a service counts for every handler."""
        found: dict[Share, Letter] = {}
        for letter in self.letters:
            for one in self.subscribers:
                if one.service == letter.service and letter.handler in {"", one.handler}:
                    found.setdefault((one.service, one.handler, letter.id), letter)
        return found

    @cached_property
    def skipped(self) -> Mapping[Share, Entry]:
        """What was given up on purpose, when it was so first: a copy may be later."""
        found: dict[Share, Entry] = {}
        for entry in self.of("skip"):
            found.setdefault((entry.service, entry.handler, entry.id), entry)
        return found

    @cached_property
    def fates(self) -> Mapping[str, set[str]]:
        """How the publications of each id ended: ok, refused, unknown, or none of them."""
        found: dict[str, set[str]] = {entry.id: set() for entry in self.of("publish_invoke")}
        for entry in self.of("publish_ok", "publish_refused", "publish_unknown"):
            found.setdefault(entry.id, set()).add(entry.kind.removeprefix("publish_"))
        return found

    def resolved(self, share: Share) -> bool:
        """Say whether one handler is through with one event."""
        return share in self.effective or share in self.dead or share in self.skipped

    def wanted(self) -> Iterator[tuple[Logged, Subscriber]]:
        """Go through the first record of each id with everyone who wants it."""
        for record in self.first.values():
            for one in self.readers.get((record.topic, record.type), ()):
                yield record, one

    def rank(self, effect: Effect) -> tuple[int, int]:
        """Tell where in its key an event belongs: by its number, or else its place in the log."""
        if effect.seq:
            return effect.epoch, effect.seq
        record = self.first.get(effect.id)
        return (0, record.offset) if record else (0, -1)


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> Mapping[K, list[T]]:
    found: dict[K, list[T]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return found
