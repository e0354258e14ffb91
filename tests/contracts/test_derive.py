"""What annotations say beyond the plain cases, and what is refused before it does harm."""

import subprocess
import sys
from datetime import UTC, datetime, time
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, cast
from uuid import UUID

import avro.schema
import pytest
from pydantic import AliasChoices, BaseModel, Field, JsonValue, RootModel
from typing_extensions import TypeAliasType

from choreo.codec.avro import AvroCodec, SchemaFolder
from choreo.codec.guard import check_schema
from choreo.contracts.derive import derive
from choreo.contracts.wire import Float32, Int32, MillisDatetime, MillisTime, Wire
from choreo.envelope import AVRO, Envelope
from choreo.errors import ConfigurationError, EncodeError
from choreo.event import Event

Customer = NewType("Customer", UUID)
Money = TypeAliasType("Money", Annotated[Decimal, Field(max_digits=9, decimal_places=2)])


class Narrow(Event, topic="narrow"):
    """Every type that another's contract may ask for."""

    count: Int32
    ratio: Float32 = 0.5
    at: MillisDatetime = datetime(2026, 1, 1, tzinfo=UTC)
    daily: MillisTime = time(3, 4)
    by: Customer = Customer(UUID(int=1))
    price: Money = Decimal("1.50")
    maybe: Int32 | None = None


def fields(event: type[Event]) -> dict[str, JsonValue]:
    found = cast("list[dict[str, JsonValue]]", derive(event)["fields"])
    return {str(one["name"]): one["type"] for one in found}


def test_narrower_types_names_and_aliases_are_written_as_what_they_stand_for() -> None:
    assert fields(Narrow) == {
        "count": "int",
        "ratio": "float",
        "at": {"type": "long", "logicalType": "timestamp-millis"},
        "daily": {"type": "int", "logicalType": "time-millis"},
        "by": {"type": "string", "logicalType": "uuid"},
        "price": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        "maybe": ["null", "int"],
    }


def test_narrower_types_survive_the_trip(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path)
    folder.export(Narrow)
    event = Narrow(count=-(2**31), at=datetime(2026, 5, 4, 3, 2, 1, 999000, tzinfo=UTC), maybe=7)
    data = AvroCodec(folder).encoder(Narrow)(event).data

    read = AvroCodec(folder).decoder(Narrow)(
        Envelope(id="1", source="s", type="Narrow.v1", data=data, content_type=AVRO)
    )

    assert read == event
    assert BytesIO(data).read(2) == b"\xc3\x01"


class Empty(BaseModel):
    pass


class Hollow(BaseModel):
    inside: Empty


class Root(RootModel[int]):
    pass


REFUSED: list[tuple[Any, str]] = [
    (list[Hollow], "T5"),
    (Root, "its type itself"),
    (Annotated[str, Wire("int")], "choreo.contracts.wire"),
    (Annotated[Decimal, Field(max_digits=2, decimal_places=5)], "more decimal_places"),
    (Annotated[Decimal, Field(max_digits=0, decimal_places=0)], "more decimal_places"),
]


@pytest.mark.parametrize(("annotation", "remedy"), REFUSED)
def test_what_would_do_harm_is_refused_with_a_way_out(annotation: Any, remedy: str) -> None:  # noqa: ANN401 -- any annotation at all
    fields = {"__annotations__": {"field": annotation}, "__module__": __name__}

    with pytest.raises(ConfigurationError, match=rf"Odd\.field.*{remedy}"):
        derive(type("Odd", (Event,), fields, topic="odd"))


def test_an_earlier_name_that_is_a_field_again_is_refused() -> None:
    """Libraries differ in whose value it is."""

    class Reused(Event, topic="odd"):
        old: str = ""
        new: str = Field(
            validation_alias=AliasChoices("new", "old"), serialization_alias="new", default=""
        )

    with pytest.raises(ConfigurationError, match="old is a field and an earlier name"):
        derive(Reused)


@pytest.mark.parametrize(("levels", "holds"), [(63, True), (64, False)])
def test_what_can_be_written_is_not_too_deep_to_be_read(levels: int, holds: bool) -> None:
    """Both count alike: lists and optional values are levels, too (T5)."""
    annotation: Any = int
    for _ in range(levels):
        annotation = list[annotation]
    fields = {"__annotations__": {"deep": annotation}, "__module__": __name__}
    event = type("Deep", (Event,), fields, topic="deep")

    if holds:
        check_schema(derive(event))
        return
    with pytest.raises(ConfigurationError, match="nested too deep"):
        derive(event)


PROGRAM = """
from choreo import Event
from choreo.codec.schema_folder import schema_text
from choreo.contracts.derive import derive

class Tagged(Event, topic="tags"):
    tags: frozenset[str] = frozenset({"a", "b", "c", "d", "e", "f"})

print(schema_text(derive(Tagged)), end="")
"""


@pytest.mark.timeout(60)
def test_a_contract_is_the_same_to_the_byte_in_every_process() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in (1, 2, 3)
    }

    assert len(texts) == 1


class Card(BaseModel):
    kind: Literal["card"] = "card"
    digits: str


class Transfer(BaseModel):
    kind: Literal["transfer"] = "transfer"
    iban: str


Means = Annotated[Card | Transfer, Field(discriminator="kind")]


class Paid(Event, topic="paid"):
    by: Means | None = None
    then: list[Means | None] = Field(default_factory=list[Means | None])
    first: Means | None = Transfer(iban="AT")


@pytest.mark.parametrize(
    "event",
    [
        Paid(),
        Paid(by=Card(digits="1"), then=[None, Transfer(iban="DE")], first=None),
        Paid(by=Transfer(iban="AT"), first=Card(digits="2")),
    ],
)
def test_one_of_several_models_may_be_optional(tmp_path: Path, event: Paid) -> None:
    """Avro allows no union within a union: it is one."""
    folder = SchemaFolder(tmp_path)
    avro.schema.parse(folder.export(Paid).read_text())

    payload = AvroCodec(folder).encoder(Paid)(event)
    read = AvroCodec(folder).decoder(Paid)(
        Envelope(id="1", source="s", type="Paid.v1", data=payload.data, content_type=AVRO)
    )

    assert read == event


def test_a_time_of_day_in_a_time_zone_is_not_written_without_it(tmp_path: Path) -> None:
    class Daily(Event, topic="daily"):
        at: time

    folder = SchemaFolder(tmp_path)
    folder.export(Daily)

    with pytest.raises(EncodeError, match="cannot be written as Avro"):
        AvroCodec(folder).encoder(Daily)(Daily(at=time(3, 4, tzinfo=UTC)))
