"""Where two services would not understand each other, as their locks tell.

One writes, the other reads. What the schemas say is judged by the rules of ``resolution``; beside
that, a reader takes the versions that its handlers name, those that its classes convert, and newer
ones where its policy and the schemas allow it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from choreo.contracts.field_use import FieldUse, Use
from choreo.contracts.lock import WHOLE, Consumption, Contract, Emission, Reading, ServiceLock
from choreo.contracts.resolution import Kind, Obstacle, obstacles, spell_path
from choreo.contracts.schema import read_schema
from choreo.topic import Topic

EVERYTHING = "the whole"


class Odds(StrEnum):
    """What two services can be at odds about, besides what stands in a schema."""

    VERSION = "version"
    """No handler takes the version."""
    COPY = "copy"
    """The reader could read the newer version, and has no copy of its contract."""
    KEY = "key"
    """Each keeps another key's events in order."""
    SEQUENCE = "sequence"
    """The events are numbered by another field, or not at all."""
    GONE = "gone"
    """Nobody writes the event any more."""


@dataclass(frozen=True, slots=True)
class Handling:
    """One handler, and what it does with the place in question."""

    handler: str
    found: FieldUse


@dataclass(frozen=True, slots=True)
class Clash:
    """One thing that one service writes and another cannot take."""

    event: str
    topic: str
    writer: str
    reader: str
    version: int
    """What is written."""
    reads: int
    """The version of the class that would read it."""
    kind: Kind | Odds
    at: str
    written: str | None
    """What the writer has there; None for nothing."""
    read: str | None
    """What the reader wants there; None for nothing."""
    handlers: tuple[Handling, ...]
    retained: bool = False
    """Only events that were written before are concerned, where the topic still has them."""


@dataclass(frozen=True, slots=True)
class Party:
    """A service, by its name, and what it has locked."""

    name: str
    lock: ServiceLock


def clashes(writer: Party, reader: Party) -> list[Clash]:
    """List what *writer* writes that *reader* takes and would not understand."""
    found: list[Clash] = []
    for emission in writer.lock.emits:
        takers = [one for one in reader.lock.consumes if same_event(one, emission)]
        if takers:
            # A registry has the schemas of Avro payloads; of JSON, only files tell them.
            found_there = writer.lock.codec == "avro" and reader.lock.registry
            pair = _Pair(writer.name, reader.name, emission, takers, registered=found_there)
            found += pair.between(emission.version, emission.avro)
            if writer.lock.mode.transitive:
                for version, schema in emission.earlier.items():
                    found += pair.between(version, schema, retained=True)
    return found


def same_event(one: Contract, other: Contract) -> bool:
    """Tell whether two contracts are of one event, whatever their versions."""
    return one.event == other.event and Topic(one.topic).flat == Topic(other.topic).flat


def unwritten(writer: str, lost: Emission, reader: Party) -> Iterator[Clash]:
    """List what *reader* takes of an event that *writer* wrote and nobody writes any more."""
    for taken in reader.lock.consumes:
        if same_event(taken, lost):
            yield Clash(
                event=lost.event,
                topic=lost.topic,
                writer=writer,
                reader=reader.name,
                version=lost.version,
                reads=taken.version,
                kind=Odds.GONE,
                at=EVERYTHING,
                written=None,
                read=f"v{taken.version}",
                handlers=_handlings(taken, Odds.GONE, EVERYTHING),
            )


def use_of(reading: Reading, at: str) -> FieldUse:
    """Tell what a handler does with the place *at*, as it was seen."""
    if not reading.observed:
        return FieldUse(Use.UNSEEN, reading.where)
    place = at.rstrip("[]{}")
    for read, lines in reading.reads.items():
        if read in {at, place} or read.startswith((f"{at}.", f"{at}[", f"{at}{{")):
            return FieldUse(Use.READS, lines[0])
    for read, lines in reading.reads.items():
        above = read.removesuffix(WHOLE).removesuffix(".")
        if read.endswith(WHOLE) and (not above or f"{at}.".startswith((f"{above}.", f"{above}["))):
            return FieldUse(Use.PASSES_ON, lines[0])
    return FieldUse(Use.TAKES, reading.where)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One event between two services."""

    writer: str
    reader: str
    emission: Emission
    takers: Sequence[Consumption]
    registered: bool

    def between(
        self, version: int, schema: JsonValue, *, retained: bool = False
    ) -> Iterator[Clash]:
        """List what is at odds about one version."""
        taker = self._taker(version)
        found = list(self._about_schemas(taker, version, schema))
        if not retained:
            found += self._about_order(taker)
        for kind, at, written, read in found:
            yield Clash(
                event=self.emission.event,
                topic=self.emission.topic,
                writer=self.writer,
                reader=self.reader,
                version=version,
                reads=taker.version,
                kind=kind,
                at=at,
                written=written,
                read=read,
                handlers=_handlings(taker, kind, at),
                retained=retained,
            )

    def _taker(self, version: int) -> Consumption:
        """Tell the class that would read a version: its own, one that converts, the nearest."""
        exact = [one for one in self.takers if one.version == version]
        converting = [one for one in self.takers if version in one.upcasts]
        older = [one for one in self.takers if one.version < version]
        nearest = older or self.takers[:1]
        return (exact or converting or nearest)[-1]

    def _about_schemas(self, taker: Consumption, version: int, schema: JsonValue) -> "_Found":
        if version in taker.upcasts:
            return
        named = taker.version == version
        reads_newer = taker.version < version and taker.newer != "dead_letter"
        if not named and (not reads_newer or schema is None or taker.avro is None):
            yield Odds.VERSION, EVERYTHING, f"v{version}", f"v{taker.version}"
        elif reads_newer and version not in taker.contracts and not self.registered:
            yield Odds.COPY, EVERYTHING, f"v{version}", "no copy of its contract"
        if schema is not None and taker.avro is not None:
            for one in _obstacles(taker.avro, schema):
                yield one.kind, _spelled(one.path), one.written, one.read

    def _about_order(self, taker: Consumption) -> "_Found":
        if taker.key is not None and taker.key != self.emission.key:
            yield Odds.KEY, taker.key, self.emission.key, taker.key
        if taker.sequence is not None and taker.sequence != self.emission.sequence:
            yield Odds.SEQUENCE, taker.sequence, self.emission.sequence, taker.sequence


_Found = Iterator[tuple[Kind | Odds, str, str | None, str | None]]


def _handlings(taker: Consumption, kind: Kind | Odds, at: str) -> tuple[Handling, ...]:
    return tuple(
        Handling(
            name,
            FieldUse(Use.WHOLE, reading.where) if isinstance(kind, Odds) else use_of(reading, at),
        )
        for name, reading in taker.handlers.items()
    )


def _obstacles(reader: JsonValue, writer: JsonValue) -> Sequence[Obstacle]:
    return obstacles(
        reader=read_schema(reader, "the reader's schema"),
        writer=read_schema(writer, "the writer's schema"),
    )


def _spelled(path: tuple[str, ...]) -> str:
    """Write a place as reads are written: which branch of a union it is in makes no difference."""
    return spell_path(tuple(step for step in path if not step.startswith("<")))
