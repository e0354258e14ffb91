"""The pages of a catalogue: one of all events, one of each event and of each service."""

import json
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from choreo.catalogue.landscape import Consumer, Services, Subject, Version, fields_of, subjects
from choreo.catalogue.page import (
    Badge,
    Block,
    Cell,
    Code,
    Heading,
    Inline,
    Link,
    Listing,
    Note,
    Page,
    Paragraph,
    Table,
    commas,
    slug,
)
from choreo.contracts.clash import use_of
from choreo.contracts.compatibility import Order, deploy_order, findings
from choreo.contracts.compatibility import Version as Judged
from choreo.contracts.difference import Absent, differences
from choreo.contracts.field_use import Use
from choreo.contracts.lock import Contract, Reading, ServiceLock
from choreo.contracts.schema import read_schema, spell
from choreo.topic import Topic


def pages(services: Services, title: str) -> Sequence[Page]:
    """Write all pages."""
    found = subjects(services)
    return [
        _index(found, services, title),
        *(_event(subject) for subject in found),
        *(_service(name, lock, found) for name, lock in sorted(services.items())),
    ]


def event_page(contract: Contract | Subject) -> str:
    """Tell the name of an event's page."""
    return f"events/{slug(f'{Topic(contract.topic).flat}.{contract.event}')}"


def service_page(name: str) -> str:
    """Tell the name of a service's page."""
    return f"services/{slug(name)}"


def _index(found: Sequence[Subject], services: Services, title: str) -> Page:
    events = Table(
        ("event", "topic", "version", "owner", "written by", "read by", "what it says"),
        [
            (
                _named(subject),
                (Code(subject.topic),),
                (str(subject.versions[0].number),),
                commas(subject.owners),
                commas(_links(one.service for one in subject.producers)),
                commas(_links(one.service for one in subject.consumers)),
                (subject.doc.partition("\n")[0],),
            )
            for subject in found
        ],
    )
    rows = [
        (
            (Link(name, service_page(name)),),
            (lock.owner or "–",),
            commas([Link(one.event, event_page(one)) for one in lock.consumes]),
            commas([Link(one.event, event_page(one)) for one in lock.emits]),
        )
        for name, lock in sorted(services.items())
    ]
    told = f"{len(found)} events, which {len(services)} services write and read."
    return Page(
        "index",
        "",
        title,
        [
            Paragraph((told,)),
            Heading("Events"),
            events,
            Heading("Services"),
            Table(("service", "owner", "reads", "writes"), rows),
        ],
    )


def _event(subject: Subject) -> Page:
    newest = subject.versions[0]
    blocks: list[Block] = []
    if subject.deprecated is not None:
        blocks.append(Note(f"Deprecated: {subject.deprecated}"))
    if not subject.producers:
        blocks.append(Note("No service that is known here writes it."))
    blocks += [Paragraph((part,)) for part in subject.doc.split("\n\n") if part]
    blocks.append(_facts(subject, newest.contract))
    blocks.append(Heading("Written by"))
    blocks.append(_producers(subject))
    blocks.append(Heading("Read by"))
    blocks.append(_consumers(subject))
    for version, earlier in zip(subject.versions, [*subject.versions[1:], None], strict=True):
        blocks += _version(subject, version, earlier)
    return Page(event_page(subject), "event", subject.event, blocks)


def _facts(subject: Subject, contract: Contract) -> Table:
    facts: Mapping[str, Cell] = {
        "topic": (Code(subject.topic),),
        "newest version": (str(contract.version),),
        "owner": commas(subject.owners),
        "kept in order by": (Code(contract.key),) if contract.key else ("–",),
        "numbered by": (Code(contract.sequence),) if contract.sequence else ("–",),
        "one effect per": (Code(contract.idempotency_key),) if contract.idempotency_key else ("–",),
        "kept by the broker": ("the last one of each topic" if contract.retain else "–",),
        "payload": commas(sorted({one.lock.codec for one in subject.producers})),
    }
    return Table(("", ""), [((name,), cell) for name, cell in facts.items() if list(cell) != ["–"]])


def _producers(subject: Subject) -> Table:
    return Table(
        ("service", "owner", "version", "handlers"),
        [
            (
                (Link(one.service, service_page(one.service)),),
                (one.lock.owner or "–",),
                (str(one.emission.version),),
                commas([Code(name) for name in one.emission.handlers])
                if one.emission.handlers
                else ("outside of handlers",),
            )
            for one in subject.producers
        ],
    )


def _consumers(subject: Subject) -> Table:
    rows = [
        (
            (Link(one.service, service_page(one.service)),),
            commas([str(n) for n in (*one.consumption.upcasts, one.consumption.version)]),
            (Code(name),),
            _reads(reading),
            (reading.on_failure.replace("_", " "),),
            (Code(reading.where),),
        )
        for one in subject.consumers
        for name, reading in one.consumption.handlers.items()
    ]
    return Table(("service", "versions", "handler", "reads", "on failure", "where"), rows)


def _reads(reading: Reading) -> Cell:
    if not reading.observed:
        return ("no test has shown",)
    return commas([Code(place) for place in reading.reads]) if reading.reads else ("nothing",)


def _version(subject: Subject, version: Version, earlier: Version | None) -> Iterator[Block]:
    yield Heading(f"Version {version.number}")
    if not version.written and any(one.emission.earlier for one in subject.producers):
        yield Paragraph(("Not written any more; events of it may still be read.",))
    if version.avro is None:
        yield Paragraph(("Avro cannot say it; it is known as JSON only.",))
        return
    rows = [
        (
            (Code(str(field.get("name"))),),
            (_type(version.avro, str(field.get("name"))),),
            (Code(json.dumps(field["default"])),) if "default" in field else ("–",),
            _readers(subject, str(field.get("name"))),
            _told(field),
        )
        for field in fields_of(version.avro)
    ]
    yield Table(("field", "type", "default", "read by", "meaning"), rows)
    if earlier is not None and earlier.avro is not None:
        yield from _changes(version, earlier)
    yield Listing("Avro schema", json.dumps(version.avro, indent=2, ensure_ascii=False))


def _type(schema: JsonValue, name: str) -> str:
    read = read_schema(schema)
    root = read.look_up(read.root)
    fields = getattr(root, "fields", ())
    return next((spell(field.type) for field in fields if field.name == name), "")


def _readers(subject: Subject, field: str) -> Cell:
    return commas([_reader(one) for one in subject.consumers if _is_read(one, field)])


def _reader(one: Consumer) -> Inline:
    return Link(one.service, service_page(one.service))


def _is_read(one: Consumer, field: str) -> bool:
    uses = [use_of(reading, field).use for reading in one.consumption.handlers.values()]
    return any(use in {Use.READS, Use.PASSES_ON} for use in uses)


def _told(field: Mapping[str, JsonValue]) -> Cell:
    doc, deprecated = field.get("doc"), field.get("deprecated")
    parts: list[Inline] = [doc] if isinstance(doc, str) else []
    if isinstance(deprecated, str):
        parts += [" "] if parts else []
        parts += [Badge("deprecated"), f" {deprecated}"]
    return parts


_ORDERS = {
    Order.ANY: "Each of the two can read the other.",
    Order.CONSUMERS: "It reads version {}, which cannot read it.",
    Order.PRODUCERS: "It cannot read version {}, which reads it.",
    Order.NONE: "Neither it nor version {} can read the other.",
}


def _changes(version: Version, earlier: Version) -> Iterator[Block]:
    old = Judged(earlier.number, read_schema(earlier.avro))
    order = deploy_order(findings(read_schema(version.avro), old))
    yield Paragraph(
        (f"Since version {earlier.number}: ", _ORDERS[order].format(earlier.number)),
    )
    rows = [
        ((Code(one.at),), (_value(one.committed),), (_value(one.derived),))
        for one in differences(earlier.avro, version.avro)
    ]
    if rows:
        yield Table(("where", f"version {earlier.number}", f"version {version.number}"), rows)


def _value(value: JsonValue | Absent) -> Inline:
    return "–" if isinstance(value, Absent) else Code(json.dumps(value, ensure_ascii=False))


def _service(name: str, lock: ServiceLock, found: Sequence[Subject]) -> Page:
    events = {event_page(subject): subject for subject in found}
    reads = [
        (
            _named(events[event_page(one)]),
            commas([str(number) for number in (*one.upcasts, one.version)]),
            (Code(handler),),
            _reads(reading),
            commas(_links(each.service for each in events[event_page(one)].producers)),
        )
        for one in lock.consumes
        for handler, reading in one.handlers.items()
    ]
    writes = [
        (
            _named(events[event_page(one)]),
            (str(one.version),),
            commas([Code(handler) for handler in one.handlers]),
            commas(_links(each.service for each in events[event_page(one)].consumers)),
        )
        for one in lock.emits
    ]
    return Page(
        service_page(name),
        "service",
        name,
        [
            Paragraph(
                (f"Owner: {lock.owner or 'not told'}. Payloads are written as {lock.codec}.",)
            ),
            Heading("Reads"),
            Table(("event", "versions", "handler", "fields", "from"), reads),
            Heading("Writes"),
            Table(("event", "version", "handlers", "for"), writes),
        ],
    )


def _named(subject: Subject) -> Cell:
    link = Link(subject.event, event_page(subject))
    return (link,) if subject.deprecated is None else (link, " ", Badge("deprecated"))


def _links(services: Iterator[str]) -> Sequence[Inline]:
    return [Link(name, service_page(name)) for name in dict.fromkeys(services)]
