"""Classes read what earlier versions of them wrote."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from choreo.codec.avro import AvroCodec, SchemaFolder
from choreo.envelope import AVRO, Envelope
from choreo.errors import DecodeError
from choreo.event import Event

Money = Annotated[Decimal, Field(max_digits=9, decimal_places=2)]


class Priority(IntEnum):
    LOW = 1
    HIGH = 2


class Part(BaseModel, frozen=True):
    priority: Priority = Priority.LOW
    price: Money = Decimal("0.50")


class Old(Event, topic="sales", name="Sale", version=1):
    """What was written."""

    note: str


DEFAULTS: list[tuple[Any, object]] = [
    (Money, Decimal("1.50")),
    (dict[str, Money], {"x": Decimal("1.50")}),
    (list[Money], [Decimal("2.50")]),
    (datetime, datetime(2026, 1, 1, tzinfo=UTC)),
    (date, date(2026, 1, 2)),
    (dict[str, date], {"x": date(2026, 1, 2)}),
    (time, time(3, 4)),
    (UUID, UUID(int=5)),
    (bytes, b"\xff\x00"),
    (bytes, b"abcd"),
    (Priority, Priority.HIGH),
    (Part, Part()),
    (tuple[Part, ...], (Part(),)),
]


@pytest.mark.parametrize(("annotation", "default"), DEFAULTS)
def test_a_field_that_was_not_written_has_the_default_of_its_class_every_time(
    tmp_path: Path,
    annotation: Any,  # noqa: ANN401 -- any annotation at all
    default: object,
) -> None:
    """The library fills in text for amounts and numbers for moments, the same object each time."""
    more = {"__annotations__": {"note": str, "more": annotation}, "more": default}
    new: type[Event] = type(
        "New", (Event,), {**more, "__module__": __name__}, topic="sales", name="Sale", version=2
    )
    read = reader(tmp_path, Old(note="a"), new)

    assert [read().model_dump()["more"] for _ in range(2)] == [
        new.model_validate({"note": "a"}).model_dump()["more"]
    ] * 2


class Lines(Event, topic="sales", name="Sale", version=2):
    """What is within may grow, too."""

    parts: list[Part]


def test_a_field_that_was_not_written_within_a_part_has_its_default(tmp_path: Path) -> None:
    class Part(BaseModel):
        priority: Priority

    class Before(Event, topic="sales", name="Sale", version=1):
        parts: list[Part]

    written = Before(parts=[Part(priority=Priority.HIGH)] * 2)

    read = reader(tmp_path, written, Lines)()

    assert [(part.priority, part.price) for part in read.parts] == [
        (Priority.HIGH, Decimal("0.50"))
    ] * 2


class Card(BaseModel):
    kind: Literal["card"] = "card"
    digits: str


class Transfer(BaseModel):
    kind: Literal["transfer"] = "transfer"
    iban: str


class Paid(Event, topic="paid", version=2):
    by: Card | Transfer = Field(discriminator="kind")


def test_what_had_no_tag_is_read_as_one_of_several(tmp_path: Path) -> None:
    class Card(BaseModel):
        digits: str

    class PaidOnce(Event, topic="paid", name="Paid", version=1):
        by: Card

    read = reader(tmp_path, PaidOnce(by=Card(digits="1234")), Paid)()

    assert read.by.model_dump() == {"kind": "card", "digits": "1234"}


class Named(Event, topic="names", name="Named", version=1):
    name: UUID
    more: UUID | None = None


class Renamed(Event, topic="names", name="Named", version=2):
    name: str
    more: int | str | None = None


def test_a_uuid_is_read_as_the_text_it_is(tmp_path: Path) -> None:
    read = reader(tmp_path, Named(name=UUID(int=7), more=UUID(int=8)), Renamed)()

    assert read == Renamed(name=str(UUID(int=7)), more=str(UUID(int=8)))


def test_a_text_is_not_read_as_a_uuid(tmp_path: Path) -> None:
    written = Renamed(name="no uuid")

    with pytest.raises(DecodeError, match="means something else at name: string is no uuid"):
        reader(tmp_path, written, Named)()


def reader(folder: Path, written: Event, kind: type[Event]) -> Callable[[], Any]:
    """Write one event by its own class; return what reads it by another."""
    schemas = SchemaFolder(folder)
    schemas.export(type(written))
    payload = AvroCodec(schemas).encoder(type(written))(written)
    decode = AvroCodec(schemas).decoder(kind)
    envelope = Envelope(
        id="1",
        source="s",
        type="Sale.v1",
        data=payload.data,
        content_type=AVRO,
        dataschema=payload.dataschema,
    )
    return lambda: decode(envelope)
