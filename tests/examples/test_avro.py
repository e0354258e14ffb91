"""The example ends the same whatever its services write, and whatever the others write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from choreo.codec.avro import MARK
from choreo.message import Message
from choreo.testing import Harness
from examples.order_fulfilment.__main__ import fulfil
from examples.order_fulfilment.display import PlainDisplay
from examples.order_fulfilment.events import OrderPlaced, OrderShipped, PaymentTaken
from examples.order_fulfilment.feed import ORDERS, records
from examples.order_fulfilment.services import inventory, notification, order, payment, shipping
from tests.local import KafkaPart, MqttPart

Format = Literal["json", "avro"]

ENDS = {
    "shipped": 34,
    "payment declined": 3,
    "out of stock": 3,
    "dead-lettered": 4,
    "duplicates suppressed": 1,
}


@pytest.fixture(name="orders")
def _orders(tmp_path: Path) -> Path:
    """Return a short day on which everything happens once or more."""
    lines = ORDERS.read_bytes().splitlines()
    kinds = {
        b"declined-": 3,
        b"unicorn": 3,
        b'"items": []': 2,
        b"not json at all": 1,
        b'["a", "list"]': 1,
    }
    chosen = [
        line
        for mark, count in kinds.items()
        for line in [line for line in lines if mark in line and b'"order_id": "not' not in line][
            :count
        ]
    ]
    marks = tuple(kinds)
    good = [
        line for line in lines if not any(mark in line for mark in marks) and b'"price"' in line
    ]
    file = tmp_path / "orders.jsonl"
    file.write_bytes(b"\n".join([*good[:34], *chosen, good[0]]) + b"\n")
    return file


async def outcome(url: str, orders: Path, codec: Format) -> dict[str, int]:
    result, tree = await fulfil(url, orders, PlainDisplay(), codec=codec)
    assert result.problems == []
    assert "OrderShipped" in tree
    return dict(result.ends)


@pytest.mark.parametrize("codec", ["json", "avro"])
async def test_the_example_ends_alike_in_both_formats_in_memory(
    orders: Path, codec: Format
) -> None:
    assert await outcome("memory://", orders, codec) == ENDS


async def test_the_example_in_avro_ends_alike_on_kafka(real_kafka: KafkaPart, orders: Path) -> None:
    assert await outcome(real_kafka.url, orders, "avro") == ENDS


async def test_the_example_in_avro_ends_alike_on_mqtt(mosquitto: MqttPart, orders: Path) -> None:
    assert await outcome(mosquitto.url, orders, "avro") == ENDS


async def test_the_setting_decides_what_is_written(
    orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOREO_CODEC", "avro")

    async with Harness(order, payment, inventory, shipping, notification) as world:
        await world.send(*records(orders)[:2])
        await world.settle()

        assert {form(message) for message in world.messages if message.topic != "shop"} == {"avro"}


@pytest.mark.parametrize("writers", [(order, shipping), (payment, inventory)])
async def test_services_that_write_json_and_avro_understand_each_other(
    orders: Path, monkeypatch: pytest.MonkeyPatch, writers: Sequence[object]
) -> None:
    services = (order, payment, inventory, shipping, notification)
    for service in services:
        options = {**service._options, "codec": "avro" if service in writers else "json"}
        monkeypatch.setattr(service, "_options", options)

    async with Harness(*services) as world:
        await world.send(*records(orders)[:20])
        await world.settle()

        forms = {
            kind: {form(m) for m in world.messages if m.topic == topic}
            for kind, topic in ((OrderPlaced, "orders"), (PaymentTaken, "payments"))
        }
        assert len(world.published(OrderShipped)) == 20
        assert forms == {
            OrderPlaced: {"avro" if order in writers else "json"},
            PaymentTaken: {"avro" if payment in writers else "json"},
        }
        assert world.dead_letters == []


def form(message: Message) -> str:
    return "avro" if (message.body or b"").startswith(MARK) else "json"
