"""Newer versions than a service names: read by their contract, held or dead-lettered, as told."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

import pytest
from pydantic import Field

from choreo import Event, Retry, Service
from choreo.codec.avro import SchemaFolder
from choreo.errors import ConfigurationError
from choreo.event import event_type
from choreo.reason import Reason
from choreo.runner import started
from choreo.testing import Harness
from choreo.upcast import newer_version

Format = Literal["json", "avro"]


class Sold(Event, topic="sales", key="item"):
    item: str
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)] = Decimal(0)


class SoldMore(Event, topic="sales", key="item", name="Sold", version=2):
    """What every reader of version 1 can read."""

    item: str
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)] = Decimal(0)
    count: int = 1


class SoldFine(Event, topic="sales", key="item", name="Sold", version=3):
    """What none of them can: an amount of another scale, although JSON would pass."""

    item: str
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=3)] = Decimal(0)


def reading(*events: type[Event], name: str = "books") -> tuple[Service, list[Event]]:
    service, seen = Service(name, retry=Retry(attempts=1)), list[Event]()
    for event in events or (Sold,):

        async def note(sold: Event) -> None:
            seen.append(sold)

        service.on(event, id=f"note {event.__name__}")(note)
    return service, seen


@pytest.fixture(name="schemas")
def _schemas(tmp_path: Path) -> Path:
    folder = SchemaFolder(tmp_path)
    for event in (Sold, SoldMore, SoldFine):
        folder.export(event)
    return tmp_path


@pytest.mark.parametrize("codec", ["json", "avro"])
async def test_a_newer_version_is_read_where_its_contract_allows_it(
    schemas: Path, codec: Format
) -> None:
    service, seen = reading()

    async with Harness(service, codec=codec, schemas=schemas) as world:
        await world.publish(SoldMore(item="pear", price=Decimal("1.50"), count=3))
        await world.settle()

        assert world.dead_letters == []
    assert seen == [Sold(item="pear", price=Decimal("1.50"))]


@pytest.mark.parametrize("codec", ["json", "avro"])
async def test_a_newer_version_that_cannot_be_read_whole_is_a_dead_letter_that_says_where(
    schemas: Path, codec: Format
) -> None:
    """Not one event of it, whatever it holds: the same as `choreo contracts check` says."""
    service, seen = reading()

    async with Harness(service, codec=codec, schemas=schemas) as world:
        await world.publish(SoldFine(item="pear", price=Decimal("1.5")))
        await world.settle()
        (letter,) = world.dead_letters

    assert seen == []
    assert letter.reason is Reason.UNKNOWN_VERSION
    assert "at price: decimal(9, 3) is no decimal(9, 2)" in (letter.error or "")


@pytest.mark.parametrize("codec", ["json", "avro"])
async def test_a_newer_version_whose_contract_is_not_there_is_a_dead_letter(
    tmp_path: Path, schemas: Path, codec: Format
) -> None:
    service, seen = reading()
    sender = tmp_path / "sender"
    SchemaFolder(sender).export(SoldMore)
    async with Harness(codec=codec, schemas=sender) as world:
        await world.publish(SoldMore(item="pear"))
        (sent,) = world.messages
    SchemaFolder(schemas).path(SoldMore).unlink()
    SchemaFolder(sender).path(SoldMore).unlink()

    async with Harness(service, codec=codec, schemas=schemas) as world:
        await world.send(sent)
        await world.settle()
        (letter,) = world.dead_letters

    assert seen == []
    assert letter.reason is Reason.UNKNOWN_VERSION
    assert "is newer than this service" in (letter.error or "")


async def test_a_service_that_wants_no_newer_versions_dead_letters_them_all(schemas: Path) -> None:
    service, seen = reading()

    async with Harness(service, schemas=schemas, newer="dead_letter") as world:
        await world.publish(SoldMore(item="pear"))
        await world.settle()

        assert [one.reason for one in world.dead_letters] == [Reason.UNKNOWN_VERSION]
    assert seen == []


async def test_what_an_event_declares_goes_before_the_service(schemas: Path) -> None:
    class Strict(Event, topic="sales", key="item", name="Sold", newer="dead_letter"):
        item: str

    service, seen = reading(Strict)

    async with Harness(service, schemas=schemas, newer="read") as world:
        await world.publish(SoldMore(item="pear"))
        await world.settle()

        assert [one.reason for one in world.dead_letters] == [Reason.UNKNOWN_VERSION]
    assert seen == []


async def test_of_several_versions_with_handlers_the_newest_reads_what_is_newer_still(
    schemas: Path,
) -> None:
    class SoldSlow(Event, topic="sales", key="item", name="Sold", version=4):
        item: str
        price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)] = Decimal(0)
        count: int = 1
        days: int = 0

    SchemaFolder(schemas).export(SoldSlow)
    service, seen = reading(Sold, SoldMore)

    async with Harness(service, schemas=schemas) as world:
        await world.publish(SoldSlow(item="pear", count=2))
        await world.settle()

    assert seen == [SoldMore(item="pear", count=2)]


async def test_a_version_between_two_that_are_read_is_not_newer(schemas: Path) -> None:
    class SoldSlow(Event, topic="sales", key="item", name="Sold", version=4):
        item: str

    service, seen = reading(Sold, SoldSlow)

    async with Harness(service, schemas=schemas) as world:
        await world.publish(SoldMore(item="pear"))
        await world.settle()

        assert [one.reason for one in world.dead_letters] == [Reason.UNKNOWN_VERSION]
    assert seen == []


async def test_a_held_version_waits_with_its_key_for_a_service_that_reads_it(
    schemas: Path,
) -> None:
    """Nothing is settled meanwhile, other keys go on, and the order of the key stays."""
    broker = f"memory://{uuid4()}"
    old, before = reading()
    new, after = reading(Sold, SoldFine)
    options: dict[str, object] = {"broker": broker, "schemas": schemas, "newer": "hold"}
    sender = Service("sender")
    async with started(sender, settings=sender.settings(**options)) as sending:
        async with started(old, settings=old.settings(**options)):
            await sending.publish([SoldFine(item="pear", price=Decimal("1.5")), Sold(item="pear")])
            await sending.publish([Sold(item="fig")])
            await until(lambda: before == [Sold(item="fig")])

        async with started(new, settings=new.settings(**options)):
            await until(lambda: len(after) == 2)

    assert before == [Sold(item="fig")]
    assert after == [SoldFine(item="pear", price=Decimal("1.5")), Sold(item="pear")]


async def test_what_can_be_read_is_not_held(schemas: Path) -> None:
    service, seen = reading()

    async with Harness(service, schemas=schemas, newer="hold") as world:
        await world.publish(SoldMore(item="pear"))
        await world.settle()

    assert seen == [Sold(item="pear")]


def test_a_policy_of_another_name_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ConfigurationError, match=r"newer='later': give one of 'read', 'hold'"):
        type("Odd", (Event,), {"__module__": __name__}, topic="odd", newer="later")


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("Sold.v2", 2),
        ("Sold.v10", 10),
        ("Sold.v1", None),
        ("Sold.v02", None),
        ("Sold.v٢", None),
        ("Sold.v2.0", None),
        ("Sold.v1000000000", None),
        ("Resold.v2", None),
        ("Sold", None),
        (".v2", None),
    ],
)
def test_what_a_newer_version_is_called(kind: str, version: int | None) -> None:
    assert newer_version(event_type(Sold), kind) == version


async def until(condition: Callable[[], bool], within: timedelta = timedelta(seconds=8)) -> None:
    async with asyncio.timeout(within.total_seconds()):
        while not condition():
            await asyncio.sleep(0.01)
