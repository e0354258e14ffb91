"""A service that sells, and records as others write them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from choreo import Event, Message, Retry, Service
from choreo.codec.avro import AvroCodec
from choreo.codec.schema_folder import SchemaFolder, schema_text
from choreo.registry.local import LocalRegistry
from choreo.registry.local.shelf import Draft
from tests.patience import patient

ITEM = "sales-Sold"


class Sold(Event, topic="sales", key="item"):
    item: str
    count: int = 1


class Counted(Event, topic="counted", key="item"):
    item: str


class SoldMore(Event, topic="sales", key="item", name="Sold", version=2):
    item: str
    count: int = 1
    note: str = ""


def shop() -> tuple[Service, list[Sold]]:
    service, seen = Service("shop", retry=Retry(attempts=1)), list[Sold]()

    @service.on(Sold)
    async def count(sold: Sold) -> Counted:
        seen.append(sold)
        return Counted(item=sold.item)

    return service, seen


def options(registry: LocalRegistry, schemas: Path, **more: object) -> dict[str, Any]:
    return {"codec": "avro", "registry": registry.url, "schemas": schemas, **more}


def registered(registry: LocalRegistry, schema: JsonValue, subject: str = "elsewhere") -> int:
    return registry.shelf.register(subject, Draft(schema_text(schema))).id


def record(body: bytes, *headers: tuple[str, bytes], kind: str = "Sold.v1") -> Message:
    attributes = [
        ("ce_specversion", b"1.0"),
        ("ce_id", uuid4().hex.encode()),
        ("ce_source", b"urn:elsewhere"),
        ("ce_type", kind.encode()),
        ("content-type", b"application/avro"),
    ]
    return Message("sales", body, b"pear", [*attributes, *headers])


def datum(schemas: Path, event: Event) -> bytes:
    """Write an event without a frame."""
    return AvroCodec(SchemaFolder(schemas)).encoder(type(event))(event).data[10:]


def framed(identity: int, body: bytes) -> bytes:
    return b"\x00" + identity.to_bytes(4, "big") + body


def away() -> str:
    """Name a registry that is not there."""
    with LocalRegistry() as gone:
        return gone.url


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patient(8)):
        while not condition():
            await asyncio.sleep(0.01)
