"""What a handler reads of its event is noted exactly, whichever way it reads it."""

import asyncio
import copy
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from choreo import Context, Event, Service
from choreo.codec.schema_folder import SchemaFolder
from choreo.observer import observer
from choreo.testing import Harness
from choreo.testing.field_reads import FieldReads


class Part(BaseModel, frozen=True):
    sku: str = "tea"
    price: int = 3


class Sold(Event, topic="sold", key="number"):
    number: int = 1
    total: int = 2
    tags: tuple[str, ...] = ("a",)
    main: Part = Part()
    maybe: Part | None = Part()
    parts: tuple[Part, ...] = (Part(), Part())
    by_name: dict[str, Part] = Field(default_factory=lambda: {"one": Part()})
    from_: str = Field(default="", alias="from")
    old: int = Field(default=0, deprecated="no more")

    @property
    def twice(self) -> int:
        return self.total * 2


def note(*_: object) -> None: ...


def quiet(sold: Sold) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        note(sold.old)


def matched(sold: Sold) -> None:
    match sold:
        case Sold(total=2):
            note()
        case _:
            pass


WHOLE = {"*"}
CASES: dict[str, tuple[Callable[[Sold], object], set[str]]] = {
    "nothing": (note, set()),
    "an attribute": (lambda sold: sold.total, {"total"}),
    "by its name on the wire": (lambda sold: sold.from_, {"from"}),
    "getattr": (lambda sold: getattr(sold, "num" + "ber"), {"number"}),
    "a pattern": (matched, {"total"}),
    "a property": (lambda sold: sold.twice, {"total"}),
    "what is deprecated": (quiet, {"old"}),
    "a part": (lambda sold: sold.main.price, {"main", "main.price"}),
    "a part as it is": (lambda sold: note(sold.main), {"main"}),
    "all of a part": (lambda sold: sold.main.model_dump(), {"main", "main.*"}),
    "an optional part": (lambda sold: sold.maybe and sold.maybe.sku, {"maybe", "maybe.sku"}),
    "how many": (lambda sold: len(sold.parts), {"parts"}),
    "items": (lambda sold: [part.sku for part in sold.parts], {"parts", "parts[].sku"}),
    "values": (lambda sold: sold.by_name["one"].price, {"by_name", "by_name{}.price"}),
    "texts": (lambda sold: sold.tags[0], {"tags"}),
    "the class": (
        lambda sold: (type(sold), Sold.model_fields),
        set(),
    ),
    "dumping": (lambda sold: sold.model_dump(), WHOLE),
    "dumping a part": (lambda sold: sold.model_dump(include={"total"}), WHOLE),
    "dumping JSON": (lambda sold: sold.model_dump_json(), WHOLE),
    "iterating": (list, WHOLE),
    "a dict": (dict, WHOLE),
    "vars": (vars, WHOLE),
    "equality": (lambda sold: sold == Sold(), WHOLE),
    "equality, the other way round": (lambda sold: Sold() == sold, WHOLE),
    "a hash of a part": (lambda sold: hash(sold.main), {"main", "main.*"}),
    "printing": (str, WHOLE),
    "copying": (copy.copy, WHOLE),
    "copying deeply": (copy.deepcopy, WHOLE),
    "changing a copy": (lambda sold: sold.model_copy(update={"total": 1}), WHOLE),
    "what was set": (lambda sold: sold.model_fields_set, WHOLE),
    "another model from it": (
        lambda sold: Part.model_validate(sold.main, from_attributes=True),
        {"main"},
    ),
}


@pytest.fixture(name="reads")
async def _reads() -> AsyncIterator[FieldReads]:
    reads = FieldReads(lambda file: file == __file__)
    token = observer.set(reads)
    yield reads
    observer.reset(token)
    reads.close()


async def told(service: Service, *events: Event) -> None:
    async with Harness(service) as world:
        for event in events:
            await world.publish(event)
        await world.settle()
        assert not world.failures, world.failures


def read(reads: FieldReads, handler: str = "handle", service: str = "desk") -> set[str]:
    found = reads.handlers[service, handler].reads
    spelt = ("".join(s if s in {"[]", "{}"} else f".{s}" for s in path) for path in found)
    return {one.removeprefix(".") for one in spelt}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_read_is_noted_and_no_more(reads: FieldReads, case: str) -> None:
    reading, expected = CASES[case]
    desk = Service("desk")

    @desk.on(Sold)
    async def handle(sold: Sold) -> None:
        note(reading(sold))

    await told(desk, Sold())

    assert read(reads) == expected


async def test_what_a_filter_reads_is_read_even_if_the_handler_is_never_called(
    reads: FieldReads,
) -> None:
    desk = Service("desk")

    @desk.on(Sold, when=lambda sold: sold.total > 100)
    async def handle(sold: Sold) -> None:
        note(sold.main)

    await told(desk, Sold())

    assert read(reads) == {"total"}


async def test_each_handler_has_its_own_reads(reads: FieldReads) -> None:
    desk = Service("desk")

    @desk.on(Sold)
    async def one(sold: Sold) -> None:
        note(sold.total)

    @desk.on(Sold)
    def other(sold: Sold) -> None:
        note(sold.main.sku)

    await told(desk, Sold())

    assert read(reads, "one") == {"total"}
    assert read(reads, "other") == {"main", "main.sku"}


class NewerSold(Event, topic="sold", key="number", name="Sold", version=2):
    number: int = 1
    total: int = 2


async def test_what_is_read_of_a_newer_version_is_read(reads: FieldReads, tmp_path: Path) -> None:
    desk = Service("desk")

    @desk.on(OldSold)
    async def handle(sold: OldSold) -> None:
        note(sold.total)

    SchemaFolder(tmp_path).export(NewerSold)
    async with Harness(desk, schemas=tmp_path) as world:
        await world.publish(NewerSold())
        await world.settle()

    assert read(reads) == {"total"}


class OldSold(Event, topic="sold", key="number", name="Sold"):
    number: int = 1
    total: int = 2


class Passed(Event, topic="passed"):
    number: int
    part: Part


async def test_an_event_that_is_sent_on_is_read_whole(reads: FieldReads) -> None:
    desk = Service("desk")

    @desk.on(Sold, publishes=[Sold])
    async def handle(sold: Sold, ctx: Context) -> None:
        if not ctx.envelope.hops:
            await ctx.publish(sold)

    await told(desk, Sold())

    assert read(reads) == {"*", "number"}, "whole as its payload, and its key"


async def test_a_part_that_is_sent_on_is_read_whole_and_its_place_is_the_handler(
    reads: FieldReads,
) -> None:
    desk = Service("desk")

    @desk.on(Sold)
    async def handle(sold: Sold) -> Passed:
        return Passed(number=sold.number, part=sold.main)

    await told(desk, Sold())

    assert read(reads) == {"number", "main", "main.*"}
    observed = reads.handlers["desk", "handle"]
    assert observed.reads["main", "*"] == {observed.place}


SOURCE = Path(__file__).read_text().splitlines()


async def test_the_line_is_that_of_the_reading_and_not_of_a_library(reads: FieldReads) -> None:
    desk = Service("desk")

    @desk.on(Sold)
    async def handle(sold: Sold) -> None:
        note(sold.total)
        note(sold.main.model_dump())

    await told(desk, Sold())

    found = reads.handlers["desk", "handle"].reads
    ((_, total),), ((_, dumped),) = found["total",], found["main", "*"]
    assert SOURCE[total - 1].strip() == "note(sold.total)"
    assert SOURCE[dumped - 1].strip() == "note(sold.main.model_dump())"


async def test_what_a_task_or_a_thread_of_the_handler_reads_is_read(reads: FieldReads) -> None:
    desk = Service("desk")

    @desk.on(Sold)
    async def handle(sold: Sold) -> None:
        async def later() -> None:
            note(sold.total)

        async with asyncio.TaskGroup() as group:
            group.create_task(later())
        await asyncio.to_thread(lambda: note(sold.number))

    await told(desk, Sold())

    assert read(reads) == {"total", "number"}


async def test_what_a_test_reads_of_an_event_that_a_handler_kept_is_not(reads: FieldReads) -> None:
    desk, kept = Service("desk"), list[Sold]()

    @desk.on(Sold)
    async def handle(sold: Sold) -> None:
        kept.append(sold)

    async with Harness(desk) as world:
        await world.publish(Sold())
        await world.settle()
        assert world.handled(handle) == [Sold()]
        assert kept[0].total == 2

    assert read(reads) == set()


async def test_what_others_read_later_of_a_kept_event_is_read() -> None:
    reads = FieldReads()
    token = observer.set(reads)
    desk, kept = Service("desk"), list[Sold]()

    @desk.on(Sold)
    async def handle(sold: Sold) -> None:
        kept.append(sold)

    await told(desk, Sold())
    note(kept[0].total)
    observer.reset(token)
    reads.close()

    assert read(reads) == {"total"}


async def test_classes_are_as_they_were_when_nobody_looks_on_any_more() -> None:
    reads = FieldReads()
    token = observer.set(reads)
    desk, kept = Service("desk"), list[Sold]()

    @desk.on(Sold)
    async def handle(sold: Sold) -> None:
        kept.append(sold)

    await told(desk, Sold())
    observer.reset(token)
    reads.close()

    assert "__getattribute__" not in vars(Sold)
    assert kept == [Sold()]
    assert type(kept[0]) is Sold
    assert read(reads) == set()


async def test_what_a_service_publishes_outside_of_handlers_is_noted(reads: FieldReads) -> None:
    desk = Service("desk")

    @desk.on(Passed)
    async def handle(passed: Passed) -> None: ...

    async with Harness(desk) as world:
        await desk.publish(Sold())
        await world.settle()

    assert reads.emitted["desk"] == {Sold}


async def test_without_an_onlooker_no_class_is_touched() -> None:
    desk = Service("desk")

    @desk.on(Sold)
    async def handle(sold: Sold) -> None: ...

    await told(desk, Sold())

    assert "__getattribute__" not in vars(Sold)
