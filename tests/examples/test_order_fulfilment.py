"""The example ends as it must on every broker, and its services stand being asked twice."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from choreo.broker import TopicFilter, open_broker
from choreo.testing import Harness, ManualClock
from examples.order_fulfilment import make_orders
from examples.order_fulfilment.__main__ import fulfil
from examples.order_fulfilment.display import PlainDisplay
from examples.order_fulfilment.events import (
    Item,
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
    OutOfStock,
    PaymentDeclined,
    PaymentRefunded,
    PaymentTaken,
    StockReleased,
    StockReserved,
)
from examples.order_fulfilment.feed import ORDERS, feed
from examples.order_fulfilment.services import inventory, notification, order, payment, shipping
from tests.local import KafkaPart, MqttPart

ROOT = Path(__file__).parents[2]
ENDS = {
    "shipped": 500,
    "payment declined": 9,
    "out of stock": 14,
    "dead-lettered": 9,
    "duplicates suppressed": 12,
}
ORDER = UUID(int=1)
SECOND = timedelta(seconds=1)


def placed(*, card: str = "4000-0001", sku: str = "lamp") -> OrderPlaced:
    item = Item.model_validate({"sku": sku, "quantity": 1, "price": "59.00"})
    return OrderPlaced(order_id=ORDER, customer="Ada", card=card, items=(item,), total=item.price)


# ── whole runs ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_demo_ends_with_the_table_and_the_tree_and_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.order_fulfilment", "--plain"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
    )

    assert done.returncode == 0, done.stderr
    for end, count in ENDS.items():
        assert f"{end:>22} {count:6}" in done.stdout
    tree = done.stdout.partition("Who caused what")[2]
    assert all(
        name in tree for name in ("OrderReceived", "OrderPlaced", "PaymentTaken", "OrderShipped")
    )


@pytest.mark.timeout(120)
async def test_the_same_code_fulfils_the_same_orders_on_kafka(kafka: KafkaPart) -> None:
    result, _ = await fulfil(kafka.url, ORDERS, PlainDisplay())

    assert (dict(result.ends), result.problems) == (ENDS, [])


@pytest.mark.timeout(120)
async def test_the_same_code_fulfils_the_same_orders_on_mqtt(mosquitto: MqttPart) -> None:
    result, _ = await fulfil(mosquitto.url, ORDERS, PlainDisplay())

    assert (dict(result.ends), result.problems) == (ENDS, [])


async def test_an_order_that_is_lost_or_paid_for_twice_fails_the_run(tmp_path: Path) -> None:
    few = tmp_path / "orders.jsonl"
    few.write_bytes(b"\n".join(ORDERS.read_bytes().splitlines()[:40]))

    result, tree = await fulfil("memory://", few, PlainDisplay())

    assert result.problems == []
    assert "OrderShipped" in tree
    assert replace(result, fed=result.fed + 1).problems == [
        "41 records were fed, 40 are accounted for"
    ]
    assert len(replace(result, paid=result.paid + 1).problems) == 1
    assert len(replace(result, released=result.released + 1).problems) == 1


async def test_the_feed_puts_every_line_on_the_broker_as_it_is() -> None:
    url = "memory://fed-from-outside"

    async with open_broker(url) as broker:
        count = await feed(url, ORDERS)
        async with broker.browse(TopicFilter("shop")) as deliveries:
            bodies = [delivery.body async for delivery in deliveries]

    assert count == sum(ENDS.values())
    assert Counter(bodies) == Counter(ORDERS.read_bytes().splitlines())


def test_the_committed_orders_are_what_the_script_writes() -> None:
    assert ORDERS.read_text() == make_orders.text()


# ── paths ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_declined_card_releases_the_stock_and_cancels_the_order() -> None:
    async with Harness(order, payment, inventory, shipping, clock=ManualClock()) as world:
        await world.publish(placed(card="declined-1"))
        await world.settle()

        assert world.published(StockReleased) == [StockReleased(order_id=ORDER)]
        assert world.published(OrderCancelled) == [
            OrderCancelled(order_id=ORDER, reason="payment declined")
        ]
        assert world.published(OrderShipped) == []


async def test_an_empty_shelf_refunds_the_payment_and_cancels_the_order() -> None:
    async with Harness(order, payment, inventory, shipping, clock=ManualClock()) as world:
        await world.publish(placed(sku="unicorn"))
        await world.settle()

        (taken,) = world.published(PaymentTaken)
        assert world.published(PaymentRefunded) == [
            PaymentRefunded(order_id=ORDER, receipt=taken.receipt)
        ]
        assert world.published(OrderCancelled) == [
            OrderCancelled(order_id=ORDER, reason="out of stock")
        ]


async def test_compensation_that_comes_before_its_cause_waits_for_it() -> None:
    async with Harness(payment, inventory, clock=ManualClock()) as world:
        await world.publish(OutOfStock(order_id=ORDER, sku="lamp"))
        await world.publish(PaymentDeclined(order_id=ORDER, reason="broke"))
        await world.advance(SECOND)
        await world.publish(placed())
        await world.settle()

        assert len(world.published(PaymentRefunded)) == 1
        assert world.published(StockReleased) == [StockReleased(order_id=ORDER)]


@pytest.mark.parametrize("first", [PaymentTaken, StockReserved])
async def test_a_parcel_leaves_once_whichever_half_comes_last(
    first: type[PaymentTaken | StockReserved],
) -> None:
    halves = [
        PaymentTaken(order_id=ORDER, amount=placed().total, receipt="r"),
        StockReserved(order_id=ORDER, items=()),
    ]
    halves.sort(key=lambda half: not isinstance(half, first))

    async with Harness(shipping, notification) as world:
        for half in halves:
            await world.publish(half)
            await world.settle()

        assert len(world.published(OrderShipped)) == 1


async def test_services_that_see_an_order_again_under_another_id_say_the_same_again() -> None:
    async with Harness(payment, inventory, clock=ManualClock()) as world:
        for _ in range(2):
            await world.publish(placed())
            await world.settle()

        assert (
            world.published(StockReserved)
            == [StockReserved(order_id=ORDER, items=placed().items)] * 2
        )
