"""A service that cannot keep its contracts does not start; one that can reads both formats."""

from pathlib import Path
from typing import Literal

import pytest

from choreo import Event, Message, Service
from choreo.codec.avro import AvroCodec, SchemaFolder
from choreo.errors import ConfigurationError
from choreo.reason import Reason
from choreo.testing import Harness


class Asked(Event, topic="asked", key="name"):
    name: str


class Answered(Event, topic="answered", key="name"):
    name: str


class Odd(Event, topic="odd"):
    what: object


def service() -> Service:
    desk = Service("desk")

    @desk.on(Asked)
    async def answer(asked: Asked) -> Answered:
        return Answered(name=asked.name)

    return desk


@pytest.mark.parametrize("codec", ["json", "avro"])
async def test_a_committed_file_that_is_no_schema_stops_the_start(
    tmp_path: Path, codec: Literal["json", "avro"]
) -> None:
    SchemaFolder(tmp_path).export(Answered)
    (tmp_path / "elsewhere.avsc").write_text("<<<<<<< ours")

    with pytest.raises(ConfigurationError, match=r"elsewhere\.avsc"):
        async with Harness(service(), codec=codec, schemas=tmp_path):
            pass


async def test_an_emit_without_a_contract_stops_the_start_and_names_the_command(
    tmp_path: Path,
) -> None:
    command = r"choreo contracts export tests\.contracts\.test_start:Answered"

    with pytest.raises(ConfigurationError, match=command):
        async with Harness(service(), codec="avro", schemas=tmp_path):
            pass


async def test_an_emit_that_left_its_contract_stops_the_start_and_says_what_to_do(
    tmp_path: Path,
) -> None:
    path = SchemaFolder(tmp_path).export(Answered)
    path.write_text(path.read_text().replace('"string"', '"long"'))

    with pytest.raises(ConfigurationError, match=r"/fields/name/type: .*version=2.* --force"):
        async with Harness(service(), codec="avro", schemas=tmp_path):
            pass


async def test_what_avro_cannot_say_is_read_as_json_beside_it(tmp_path: Path) -> None:
    desk, seen = service(), list[object]()
    SchemaFolder(tmp_path).export(Answered)

    @desk.on(Odd)
    async def take(odd: Odd) -> None:
        seen.append(odd.what)

    async with Harness(desk, codec="avro", schemas=tmp_path) as world:
        await world.send(event("Odd.v1", b'{"what": [1]}', "application/json"))
        await world.send(event("Odd.v1", b"\xc3\x01", "application/avro"))
        await world.settle()
        (letter,) = world.dead_letters

    assert seen == [[1]]
    assert letter.reason is Reason.SCHEMA
    assert "cannot be read in this format" in (letter.error or "")


async def test_a_service_that_writes_json_reads_avro_by_the_contracts_it_has(
    tmp_path: Path,
) -> None:
    folder = SchemaFolder(tmp_path)
    folder.export(Asked)
    data = AvroCodec(folder).encoder(Asked)(Asked(name="ann")).data

    async with Harness(service(), codec="json", schemas=tmp_path) as world:
        await world.send(event("Asked.v1", data, "application/avro"))
        await world.settle()

        assert world.published(Answered) == [Answered(name="ann")]
        assert (world.messages[-1].body or b"").startswith(b"{")


def event(kind: str, body: bytes, content_type: str) -> Message:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", content_type.encode()),
        ("ce_source", b"urn:elsewhere"),
        ("ce_type", kind.encode()),
        ("content-type", content_type.encode()),
    ]
    return Message(kind.partition(".")[0].lower(), body, b"ann", headers)
