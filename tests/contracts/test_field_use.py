"""What a handler does with a field, as its source tells."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from choreo.contracts.field_use import Use, field_use
from choreo.event import Event


class Part(BaseModel):
    price: int
    sku: str


class Sold(Event, topic="sold"):
    total: int
    main: Part
    parts: list[Part]
    from_: str = Field(default="", alias="from")


def note(*values: object) -> None: ...


async def reads_total(sold: Sold) -> None:
    if True:
        note(sold.total)


async def reads_main_sku(sold: Sold) -> None:
    note(sold.main.sku)


async def reads_main_whole(sold: Sold) -> None:
    note(sold.main)


async def reads_parts(sold: Sold) -> None:
    note([part.price for part in sold.parts])


async def reads_by_attribute(sold: Sold) -> None:
    note(sold.from_)


async def passes_on(sold: Sold) -> None:
    note(sold)


async def ignores(sold: Sold) -> None:
    note("sold")


class Methods:
    async def handle(self, sold: Sold) -> None:
        note(sold.total)


CASES: list[tuple[Callable[..., object], tuple[str, ...], Use]] = [
    (reads_total, ("total",), Use.READS),
    (reads_total, ("main",), Use.TAKES),
    (reads_main_sku, ("main", "sku"), Use.READS),
    (reads_main_sku, ("main",), Use.READS),
    (reads_main_sku, ("main", "price"), Use.TAKES),
    (reads_main_whole, ("main", "price"), Use.READS),
    (reads_parts, ("parts", "[]", "price"), Use.READS),
    (reads_by_attribute, ("from",), Use.READS),
    (passes_on, ("total",), Use.PASSES_ON),
    (ignores, ("total",), Use.TAKES),
    (Methods().handle, ("total",), Use.READS),
    (print, ("total",), Use.PASSES_ON),
]  # fmt: skip


@pytest.mark.parametrize(("handler", "path", "use"), CASES)
def test_a_handlers_source_tells_what_it_does_with_a_field(
    handler: Callable[..., object], path: tuple[str, ...], use: Use
) -> None:
    assert field_use(handler, Sold, path).use is use


def test_the_line_is_that_of_the_reading() -> None:
    found = field_use(reads_total, Sold, ("total",))

    file, _, line = found.where.rpartition(":")
    assert Path(file).read_text().splitlines()[int(line) - 1].strip() == "note(sold.total)"
