"""Compiled writers and the library write the same, to the byte, or refuse it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from pydantic import Field

from choreo.codec.avro import library_writer
from choreo.codec.compiled_writer import Writer, compiled_writer
from choreo.codec.schema_folder import contract
from choreo.codec.source import MAX_LINES
from choreo.contracts.annotations import shape_of
from choreo.contracts.derive import record_schema
from choreo.contracts.wire import Float32, Int32, MillisDatetime, MillisTime
from choreo.event import Event
from choreo.testing.event_values import any_of, edges_of
from tests.wire.events import Channel, Shipped
from tests.wire.test_avro import sample, shipments


class Amounts(Event, topic="amounts"):
    one: Annotated[Decimal, Field(max_digits=9, decimal_places=2)]
    maybe: Annotated[Decimal, Field(max_digits=9, decimal_places=2)] | None = None


class Numbers(Event, topic="numbers"):
    small: Int32
    single: Float32
    at: MillisDatetime
    since: MillisTime
    clock: time
    number: int
    maybe: int | None = 5
    many: dict[str, list[list[int]]] = Field(default_factory=dict[str, list[list[int]]])


def writers(event: type[Event]) -> tuple[Writer, Writer]:
    shape = shape_of(event)
    compiled = compiled_writer(shape, b"before")
    assert compiled is not None
    parsed = contract(record_schema(shape), event.__name__).parsed
    return compiled, library_writer(shape, b"before", parsed)


SHIPPED, AMOUNTS, NUMBERS = writers(Shipped), writers(Amounts), writers(Numbers)


@given(event=shipments)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_the_librarys_to_the_byte(event: Shipped) -> None:
    compiled, library = SHIPPED

    assert compiled(event) == library(event)


@pytest.mark.parametrize("kind", [Amounts, Numbers])
def test_so_are_the_edges_of_a_class(kind: type[Event]) -> None:
    compiled, library = writers(kind)

    for event in edges_of(kind):
        assert compiled(event) == library(event)


@given(event=any_of(Numbers) | any_of(Amounts))
@settings(max_examples=100, deadline=None)
def test_so_is_whatever_a_class_may_hold(event: Event) -> None:
    compiled, library = NUMBERS if isinstance(event, Numbers) else AMOUNTS

    assert compiled(event) == library(event)


@pytest.mark.parametrize("unscaled", [0, 1, -1, 127, 128, -128, -129, 255, 256, -32768, 10**9 - 1])
def test_amounts_take_as_many_bytes_as_the_library_gives_them(unscaled: int) -> None:
    compiled, library = AMOUNTS
    event = Amounts(one=Decimal(unscaled).scaleb(-2))

    assert compiled(event) == library(event)


JUNK: list[Any] = [
    None, True, 0, -1, 5, 2**31, -(2**31) - 1, 2**63, -(2**63), -(2**63) - 1, 1.5, float("nan"), "",
    "text", "\ud800", b"", b"\xff", [], ["a"], [None], {}, {"a": 1}, {1: "a"}, (), {"x"}, object(),
    Decimal("1.5"), Decimal("1.555"), Decimal("1E+12"), Decimal("99999999999.99"), Decimal("NaN"),
    Decimal("Infinity"), UUID(int=5), date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1), time(1, 2, 3), time(1, tzinfo=UTC), Channel.WEB,  # noqa: DTZ001
]  # fmt: skip


def outcome(write: Callable[[object], bytes], event: Event) -> bytes | None:
    try:
        return write(event)
    except Exception:  # noqa: BLE001 -- whatever comes is a refusal
        return None


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk).partition(" at 0x")[0])
@pytest.mark.parametrize(
    ("event", "pair"),
    [
        (sample(), SHIPPED),
        (Amounts(one=Decimal(1)), AMOUNTS),
        (
            Numbers(
                small=1,
                single=1.0,
                at=datetime(2026, 1, 1, tzinfo=UTC),
                since=time(1),
                clock=time(2),
                number=3,
            ),
            NUMBERS,
        ),
    ],
    ids=["Shipped", "Amounts", "Numbers"],
)
def test_a_value_that_nobody_checked_is_written_as_the_library_does_or_refused(
    event: Event, pair: tuple[Writer, Writer], junk: object
) -> None:
    compiled, library = pair
    # Of a union's branches, but nowhere else, the library takes true for none of a number.
    taken = {"maybe"} if junk is True else set[str]()
    for name in type(event).model_fields.keys() - taken:
        spoilt = event.model_copy(update={name: junk})

        written = outcome(compiled, spoilt)

        assert written in {None, outcome(library, spoilt)}, name


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("small", 2**31),
        ("number", 2**63),
        ("number", 1.5),
        ("at", datetime(2026, 1, 1)),  # noqa: DTZ001 -- the point of the test
        ("clock", time(1, tzinfo=UTC)),
        ("many", {"a": [["b"]]}),
    ],
)
def test_what_the_type_cannot_hold_is_refused(kind: str, value: object) -> None:
    compiled, _ = NUMBERS
    event = edges_of(Numbers)[0].model_copy(update={kind: value})

    with pytest.raises((ValueError, TypeError, OverflowError)):
        compiled(event)


@pytest.mark.parametrize("amount", ["1.555", "10000000", "NaN", "Infinity"])
def test_an_amount_that_its_contract_cannot_hold_is_refused(amount: str) -> None:
    compiled, _ = AMOUNTS

    with pytest.raises((ValueError, OverflowError)):
        compiled(Amounts(one=Decimal(1)).model_copy(update={"one": Decimal(amount)}))


def test_a_class_of_too_much_is_left_to_the_library() -> None:
    fields: dict[str, Any] = {f"field{number}": int for number in range(MAX_LINES)}

    class Wide(Event, topic="wide"):
        __annotations__ = fields

    assert compiled_writer(shape_of(Wide), b"") is None
