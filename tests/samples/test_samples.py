"""One call holds classes, contracts and samples together, and says what does not hold."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from pydantic import BaseModel, Field, field_validator

from choreo import Event, Service
from choreo.codec.schema_folder import SchemaFolder
from choreo.contracts.wire import Float32, Int32, MillisDatetime, MillisTime
from choreo.testing.contract_samples import ContractSamples
from choreo.testing.event_values import any_of, edges_of
from tests.cli.program import Commands

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2, gt=0)]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel, frozen=True):
    kind: Literal["part"] = "part"
    sku: str = Field(pattern="^[a-z]{3}-[0-9]{2}$")
    price: Money


class Whole(BaseModel, frozen=True):
    kind: Literal["whole"] = "whole"
    weight: float


class Everything(Event, topic="everything", key="number"):
    number: int
    age: Annotated[int, Field(ge=18, le=120)]
    small: Int32
    total: Money
    ratio: float
    single: Float32
    text: str
    short: str = Field(min_length=2, max_length=5)
    data: bytes
    day: date
    hour: time
    brief: MillisTime
    at: datetime
    about: MillisDatetime
    id: UUID
    colour: Colour
    sort: Literal["a", "b"]
    flag: bool
    maybe: int | None = None
    parts: tuple[Part, ...] = ()
    names: frozenset[str] = frozenset()
    by_name: dict[str, Part] = Field(default_factory=dict)
    thing: Annotated[Part | Whole, Field(discriminator="kind")]
    even: int = Field(default=0, multiple_of=2)
    from_: str = Field(default="", alias="from")

    @field_validator("number")
    @classmethod
    def _not_unlucky(cls, value: int) -> int:
        if value == 13:
            raise ValueError("unlucky")
        return value


class Placed(Event, topic="orders", key="order_id"):
    order_id: str
    total: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class NewPlaced(Event, topic="orders", key="order_id", name="Placed", version=2):
    order_id: str
    cents: int


@NewPlaced.upcast(from_version=1)
def in_cents(old: dict[str, Any]) -> dict[str, Any]:
    return {"order_id": old["order_id"], "cents": int(Decimal(str(old["total"])) * 100)}


class WrongPlaced(Event, topic="orders", key="order_id", name="Placed", version=2):
    order_id: str
    cents: int


@WrongPlaced.upcast(from_version=1)
def forgets(old: dict[str, Any]) -> dict[str, Any]:
    return {"order_id": old["order_id"], "cents": int(old["total"] * 100)}


WRITING, HOLDING = ContractSamples(write=True), ContractSamples()


def told(action: Callable[[], object]) -> str:
    with pytest.raises(pytest.fail.Exception) as failed:
        action()
    return str(failed.value)


@pytest.mark.timeout(60)
@settings(deadline=None, max_examples=30)
@given(any_of(Everything))
def test_whatever_is_made_is_an_event_of_the_class(event: Everything) -> None:
    assert Everything.model_validate(event.model_dump(by_alias=True)) == event
    assert 18 <= event.age <= 120
    assert event.at.tzinfo is not None


def test_the_edges_are_the_same_every_time_and_those_of_the_types() -> None:
    edges = edges_of(Everything)

    assert edges == edges_of(Everything)
    assert {one.age for one in edges} >= {18, 120}
    assert {one.number for one in edges} >= {0, 2**63 - 1, -(2**63)}
    assert {one.small for one in edges} >= {2**31 - 1, -(2**31)}
    assert {one.maybe for one in edges} >= {None, 0}
    assert {one.colour for one in edges} == {*Colour}
    assert {len(one.parts) for one in edges} >= {0, 1}
    assert {type(one.thing) for one in edges} == {Part, Whole}
    assert Decimal("9999999999.99") in {one.total for one in edges}


@pytest.mark.timeout(60)
def test_every_type_goes_through_both_formats_and_is_checked(tmp_path: Path) -> None:
    SchemaFolder(tmp_path).export(Everything)
    seen: list[Everything] = []

    WRITING(Everything, seen.append, schemas=tmp_path, examples=20)
    HOLDING(Everything, seen.append, schemas=tmp_path, examples=0)

    assert len(seen) >= 4 * len(edges_of(Everything)) + 20 - len(edges_of(Everything))
    assert all(isinstance(one, Everything) for one in seen)


def test_a_set_that_is_written_in_another_order_is_the_same_sample(tmp_path: Path) -> None:
    SchemaFolder(tmp_path).export(Everything)
    WRITING(Everything, lambda _: None, schemas=tmp_path, examples=0)
    (golden,) = tmp_path.rglob("1.samples.jsonl")
    lines = [json.loads(line) for line in golden.read_text().splitlines()]
    for line in lines:
        line["json"]["names"].reverse()
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines))

    HOLDING(Everything, lambda _: None, schemas=tmp_path, examples=0)


def test_a_failed_check_tells_the_sample(tmp_path: Path) -> None:
    SchemaFolder(tmp_path).export(Placed)

    def check(event: Placed) -> None:
        assert event.order_id != "null"

    with pytest.raises(AssertionError) as failed:
        WRITING(Placed, check, schemas=tmp_path)

    notes: list[str] = getattr(failed.value, "__notes__", [])
    assert "Placed.v1, golden sample" in notes[0]


class Growing(Event, topic="growing"):
    text: str

    @field_validator("text")
    @classmethod
    def _grown(cls, value: str) -> str:
        return f"{value}!"


def test_an_event_that_is_read_as_another_than_was_written_fails(tmp_path: Path) -> None:
    """By who only takes it: golden samples, which would fail first, are its writer's to have."""
    SchemaFolder(tmp_path).export(Growing)
    reader = Service("reader")

    @reader.on(Growing)
    async def read(growing: Growing) -> None: ...

    assert "is read as Growing(text='!!')" in told(lambda: HOLDING(reader, schemas=tmp_path))


def test_a_class_without_its_contract_is_told_how_to_write_it(tmp_path: Path) -> None:
    assert "run 'choreo contracts export" in told(lambda: WRITING(Placed, schemas=tmp_path))


def test_a_class_without_samples_is_told_how_to_write_them(tmp_path: Path) -> None:
    SchemaFolder(tmp_path).export(Placed)

    assert "pytest --choreo-samples=write" in told(lambda: HOLDING(Placed, schemas=tmp_path))


def test_a_class_that_is_not_what_its_contract_says_fails(tmp_path: Path) -> None:
    path = SchemaFolder(tmp_path).export(Placed)
    path.write_text(path.read_text().replace('"scale": 2', '"scale": 3'))

    assert "differ at /fields/total" in told(lambda: WRITING(Placed, schemas=tmp_path))


def written(folder: Path) -> Path:
    """Write the contract and the samples of the first version."""
    SchemaFolder(folder).export(Placed)
    WRITING(Placed, schemas=folder, examples=0)
    return folder / "orders" / "Placed" / "1.samples.jsonl"


def test_samples_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    path = written(tmp_path)
    kept = path.read_text().splitlines()[0] + "\n"
    path.write_text(kept)

    WRITING(Placed, schemas=tmp_path, examples=0)

    assert path.read_text() == kept


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_holds_no_samples_and_is_written(tmp_path: Path, content: str) -> None:
    SchemaFolder(tmp_path).export(Placed)
    path = SchemaFolder(tmp_path).path(Placed).with_name("1.samples.jsonl")
    path.write_text(content)

    assert "it has no samples" in told(lambda: HOLDING(Placed, schemas=tmp_path))
    WRITING(Placed, schemas=tmp_path)

    assert path.read_text().strip()


def test_samples_of_an_earlier_version_that_were_emptied_are_told(tmp_path: Path) -> None:
    for event in (Placed, NewPlaced):
        SchemaFolder(tmp_path).export(event)
        WRITING(event, schemas=tmp_path)
    SchemaFolder(tmp_path).path(Placed).with_name("1.samples.jsonl").write_text("")

    assert "holds no samples" in told(lambda: HOLDING(NewPlaced, schemas=tmp_path))


def test_samples_of_an_earlier_version_come_through_the_upcasters(tmp_path: Path) -> None:
    lines = written(tmp_path).read_text().splitlines()
    SchemaFolder(tmp_path).export(NewPlaced)
    seen: list[NewPlaced] = []

    WRITING(NewPlaced, seen.append, schemas=tmp_path, examples=0)

    cents = [int(Decimal(json.loads(line)["json"]["total"]) * 100) for line in lines]
    assert [one.cents for one in seen[: len(lines)]] == cents


def test_an_upcaster_that_forgets_what_json_gives_it_fails_with_the_sample(tmp_path: Path) -> None:
    path = written(tmp_path)
    SchemaFolder(tmp_path).export(WrongPlaced)

    problem = told(lambda: WRITING(WrongPlaced, schemas=tmp_path))

    assert f"{path}:1 cannot be read as application/json" in problem or "reads as" in problem


def test_a_sample_that_would_be_written_otherwise_now_fails(tmp_path: Path) -> None:
    path = written(tmp_path)
    first, *rest = path.read_text().splitlines()
    changed: dict[str, Any] = {**json.loads(first), "avro": None}
    changed["json"]["order_id"] = 7
    path.write_text("\n".join([json.dumps(changed), *rest]))

    assert f"{path}:1 cannot be read" in told(lambda: HOLDING(Placed, schemas=tmp_path))


class OthersPlaced(Event, topic="orders", name="Placed"):
    order_id: str


class AskingPlaced(Event, topic="orders", name="Placed"):
    order_id: str
    customer: str


def test_who_only_reads_is_held_to_the_copy_that_it_has(tmp_path: Path) -> None:
    written(tmp_path)
    reader, asking = Service("reader", schemas=tmp_path), Service("asking", schemas=tmp_path)
    seen: list[OthersPlaced] = []

    @reader.on(OthersPlaced)
    async def read(placed: OthersPlaced) -> None: ...

    @asking.on(AskingPlaced)
    async def ask(placed: AskingPlaced) -> None: ...

    HOLDING(reader, seen.append, examples=5)

    assert {type(one) for one in seen} == {OthersPlaced}
    assert "cannot read its contract" in told(lambda: HOLDING(asking))


SHOP = """
from choreo import Event, Service

class Placed(Event, topic="orders", key="number"):
    number: int

class Paid(Event, topic="payments", key="number"):
    number: int

payments = Service("payments")

@payments.on(Placed)
async def charge(order: Placed) -> Paid:
    return Paid(number=order.number)
"""
THREE_LINES = """
from shop import payments

def test_contracts(for_each_contract_sample):
    for_each_contract_sample(payments)
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_project_of_somebody_else_adds_three_lines(tmp_path: Path) -> None:
    commands = Commands(tmp_path)
    commands.variables["PYTHONPATH"] = str(tmp_path)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(THREE_LINES)

    def tested(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *arguments], cwd=tmp_path, check=False,
            env=commands.environment({}), capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    bare = tested()
    assert commands.run("contracts", "export", "shop:payments").code == 0
    first, again = tested("--choreo-samples=write"), tested()

    assert bare.returncode == 1
    assert "run 'choreo contracts export shop:Paid' and commit it" in bare.stdout
    assert (first.returncode, again.returncode) == (0, 0), first.stdout
    assert (tmp_path / "schemas/payments/Paid/1.samples.jsonl").is_file()
    assert not (tmp_path / "schemas/orders").exists()
