"""Every event there is, with its versions and everybody who writes or reads it, out of locks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from choreo.contracts.lock import Consumption, Contract, Emission, ServiceLock
from choreo.topic import Topic

Services = Mapping[str, ServiceLock]
"""By their names."""


@dataclass(frozen=True, slots=True)
class Producer:
    """A service that writes an event."""

    service: str
    lock: ServiceLock
    emission: Emission


@dataclass(frozen=True, slots=True)
class Consumer:
    """A service that takes an event."""

    service: str
    lock: ServiceLock
    consumption: Consumption


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an event."""

    number: int
    contract: Contract
    """As its writer declares it, or a reader where no writer is known."""
    avro: JsonValue
    written: bool
    """Somebody writes it now; otherwise it is read, or was written before."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One event by its name and topic."""

    event: str
    topic: str
    """As declared, with its templates."""
    producers: Sequence[Producer]
    consumers: Sequence[Consumer]

    @property
    def owners(self) -> Sequence[str]:
        """Who answers for it: the owners of the services that write it."""
        found = {one.lock.owner for one in self.producers if one.lock.owner is not None}
        return sorted(found)

    @property
    def versions(self) -> Sequence[Version]:
        """Its versions, the newest first; what a writer says goes before what a reader says."""
        found: dict[int, Version] = {}
        for emission in (one.emission for one in self.producers):
            found.setdefault(
                emission.version, Version(emission.version, emission, emission.avro, written=True)
            )
        for emission in (one.emission for one in self.producers):
            for number, avro in emission.earlier.items():
                found.setdefault(number, Version(number, emission, avro, written=False))
        for taken in (one.consumption for one in self.consumers):
            found.setdefault(
                taken.version, Version(taken.version, taken, taken.avro, written=False)
            )
        return [found[number] for number in sorted(found, reverse=True)]

    @property
    def deprecated(self) -> str | None:
        """Why the newest version should not be used any more; None if it may."""
        return self.versions[0].contract.deprecated

    @property
    def doc(self) -> str:
        """What its newest schema says it is; empty for nothing."""
        return doc_of(self.versions[0].avro)


def subjects(services: Services) -> list[Subject]:
    """List the events that any of *services* writes or takes, by name and topic."""
    producers: dict[tuple[str, str], list[Producer]] = {}
    consumers: dict[tuple[str, str], list[Consumer]] = {}
    topics: dict[tuple[str, str], str] = {}
    for name, lock in sorted(services.items()):
        for emission in lock.emits:
            producers.setdefault(_key(emission), []).append(Producer(name, lock, emission))
            topics[_key(emission)] = emission.topic
        for taken in lock.consumes:
            consumers.setdefault(_key(taken), []).append(Consumer(name, lock, taken))
            topics.setdefault(_key(taken), taken.topic)
    return [
        Subject(key[0], topics[key], producers.get(key, ()), consumers.get(key, ()))
        for key in sorted(topics)
    ]


def doc_of(schema: JsonValue) -> str:
    """Tell what a schema says it is; empty for nothing."""
    doc = schema.get("doc") if isinstance(schema, dict) else None
    return doc if isinstance(doc, str) else ""


def fields_of(schema: JsonValue) -> Iterator[Mapping[str, JsonValue]]:
    """List the fields of a record."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    for field in fields if isinstance(fields, list) else ():
        if isinstance(field, dict):
            yield field


def _key(contract: Contract) -> tuple[str, str]:
    return contract.event, Topic(contract.topic).flat
