"""Events of older versions are brought up to the class that handlers take."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from choreo import ConfigurationError, Event, Message, Service
from choreo.codec.avro import AvroCodec, SchemaFolder
from choreo.reason import Reason
from choreo.testing import Harness

Money = Annotated[Decimal, Field(max_digits=9, decimal_places=2)]


class Line(BaseModel):
    sku: str


class PlacedOnce(Event, topic="orders", name="Placed", version=1):
    order: UUID
    cents: int
    label: bytes = b""


class PlacedAgain(Event, topic="orders", name="Placed", version=2):
    order: UUID
    total: Money
    label: bytes = b""


class Placed(Event, topic="orders", version=3):
    order: UUID
    total: Money
    lines: list[Line]
    label: bytes = b""


@Placed.upcast(from_version=1)
def in_euros(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "total": Decimal(old["cents"]) / 100}


@Placed.upcast(from_version=2)
def with_lines(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "lines": [{"sku": "unknown"}]}


ORDER = UUID(int=7)
EXPECTED = Placed(
    order=ORDER, total=Decimal("9.90"), lines=[Line(sku="unknown")], label=b"\xff\x00"
)
OLD = [
    PlacedOnce(order=ORDER, cents=990, label=b"\xff\x00"),
    PlacedAgain(order=ORDER, total=Decimal("9.90"), label=b"\xff\x00"),
]


def reading() -> tuple[Service, list[Placed]]:
    service, seen = Service("billing"), list[Placed]()

    @service.on(Placed)
    async def charge(placed: Placed) -> None:
        seen.append(placed)

    return service, seen


def message(event: Event, body: bytes, content_type: str) -> Message:
    declared = event.__event__
    assert declared is not None
    headers = {
        "specversion": "1.0", "id": "1", "source": "urn:choreo:shop", "type": declared.type,
    }  # fmt: skip
    named = {f"ce_{name}": value.encode() for name, value in headers.items()}
    return Message(
        "orders", body, headers=[*named.items(), ("content-type", content_type.encode())]
    )


@pytest.mark.parametrize("old", OLD, ids=lambda old: f"v{old.__event__.version}")
async def test_older_json_takes_every_step_up_to_the_class(old: Event) -> None:
    service, seen = reading()

    async with Harness(service) as world:
        await world.send(message(old, old.model_dump_json().encode(), "application/json"))
        await world.settle()

    assert seen == [EXPECTED]


@pytest.mark.parametrize("old", OLD, ids=lambda old: f"v{old.__event__.version}")
async def test_older_avro_takes_every_step_up_to_the_class(old: Event, tmp_path: Path) -> None:
    service, seen = reading()
    folder = SchemaFolder(tmp_path)
    for kind in (PlacedOnce, PlacedAgain, Placed):
        folder.export(kind)
    body = AvroCodec(folder).encoder(type(old))(old).data

    async with Harness(service, schemas=tmp_path) as world:
        await world.send(message(old, body, "application/avro"))
        await world.settle()

    assert seen == [EXPECTED]


async def test_a_step_that_fails_makes_the_event_a_dead_letter_without_its_values_d10() -> None:
    service, seen = reading()

    async with Harness(service) as world:
        body = json.dumps({"order": str(ORDER), "canary": 1}).encode()
        await world.send(message(OLD[0], body, "application/json"))
        await world.settle()

        (letter,) = world.dead_letters

    assert seen == []
    assert letter.reason is Reason.SCHEMA
    assert letter.error == "Placed: KeyError while validating"


async def test_a_version_without_a_step_is_unknown_still() -> None:
    class Moved(Event, topic="moved", version=3):
        to: str

    @Moved.upcast(from_version=2)
    def same(old: dict[str, Any]) -> dict[str, Any]:
        return old

    service = Service("billing")

    @service.on(Moved)
    async def note(moved: Moved) -> None: ...

    async with Harness(service) as world:
        for version in (1, 4):
            sent = message(OLD[0], b'{"to": "a"}', "application/json")
            headers = [
                (name, f"Moved.v{version}".encode() if name == "ce_type" else value)
                for name, value in sent.headers
            ]
            headers = [(n, f"{version}".encode() if n == "ce_id" else v) for n, v in headers]
            await world.send(Message("moved", sent.body, headers=headers))
        await world.settle()

        assert [one.reason for one in world.dead_letters] == [Reason.UNKNOWN_VERSION] * 2


async def test_a_version_with_handlers_of_its_own_goes_to_them_alone() -> None:
    service, seen = reading()
    own: list[PlacedOnce] = []

    @service.on(PlacedOnce)
    async def keep(placed: PlacedOnce) -> None:
        own.append(placed)

    async with Harness(service) as world:
        await world.publish(OLD[0])
        await world.settle()

    assert (own, seen) == ([OLD[0]], [])


class Gap(Event, topic="gap", version=3):
    name: str


@Gap.upcast(from_version=1)
def first(old: dict[str, Any]) -> dict[str, Any]:
    return old


async def test_steps_that_end_on_the_way_are_refused_before_the_start() -> None:
    service = Service("billing")

    @service.on(Gap)
    async def note(gap: Gap) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Gap\.upcast\(from_version=2\)"):
        async with Harness(service):
            pass


@pytest.mark.parametrize("version", [0, 3, 4, 1])
def test_a_step_that_leads_nowhere_or_is_there_already_is_refused(version: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"Gap\.upcast\(from_version={version}\)"):
        Gap.upcast(from_version=version)(first)
