"""A deprecated field that is still read is told once: by handler, and by the writer's word."""

import linecache
import logging
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from choreo import Event, Service
from choreo.codec.avro import AvroCodec, SchemaFolder
from choreo.envelope import AVRO, Envelope
from choreo.testing import Harness


class Part(BaseModel):
    colour: str = ""


class Sold(Event, topic="sales", name="Sold"):
    item: str
    price: int = 0
    part: Part = Part()


class Old(Event, topic="olds"):
    item: str
    price: int = Field(default=0, deprecated="say amount")
    amount: int = 0


READS = "a handler reads a deprecated field"
WRITES = "a field that is read is deprecated by who writes it"


def told(caplog: pytest.LogCaptureFixture, message: str) -> list[tuple[object, object]]:
    return [
        (vars(one)["field"], vars(one)["says"]) for one in caplog.records if one.message == message
    ]


def at(where: str) -> tuple[str, int]:
    file, _, number = where.rpartition(":")
    return file, int(number)


async def test_a_handler_that_reads_a_deprecated_field_is_named_once_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("books")

    @service.on(Old)
    async def charge(old: Old) -> None:
        assert old.item
        if old.item == "never":
            assert old.price

    async with Harness(service) as world:
        for _ in range(3):
            await world.publish(Old(item="pear"))
        await world.settle()

    assert told(caplog, READS) == [("price", "say amount")]
    (line,) = [vars(one)["where"] for one in caplog.records if one.message == READS]
    assert linecache.getline(*at(line)).strip() == "assert old.price"


async def test_a_handler_that_reads_others_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("books")

    @service.on(Old)
    async def charge(old: Old) -> None:
        assert old.amount == 0

    async with Harness(service) as world:
        await world.publish(Old(item="pear"))
        await world.settle()

    assert told(caplog, READS) == []


def test_what_its_writers_deprecate_is_told_once_for_each_field(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Part(BaseModel):
        colour: str = Field(default="", deprecated=True)

    class SoldLater(Event, topic="sales", name="Sold", version=2):
        item: str
        price: int = Field(default=0, deprecated="say amount")
        part: Part = Part()

    folder = SchemaFolder(tmp_path)
    folder.export(SoldLater)
    payload = AvroCodec(folder).encoder(SoldLater)(SoldLater(item="pear"))
    read = AvroCodec(folder).decoder(Sold)

    with caplog.at_level(logging.WARNING):
        for kind in ("Sold.v2", "Sold.v2"):
            read(Envelope(id="1", source="s", type=kind, data=payload.data, content_type=AVRO))

    assert told(caplog, WRITES) == [("Part.colour", "deprecated"), ("Sold.price", "say amount")]


def test_what_the_class_itself_deprecates_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = SchemaFolder(tmp_path)
    folder.export(Old)
    payload = AvroCodec(folder).encoder(Old)(Old(item="pear"))

    AvroCodec(folder).decoder(Old)(
        Envelope(id="1", source="s", type="Old.v1", data=payload.data, content_type=AVRO)
    )

    assert told(caplog, WRITES) == []
