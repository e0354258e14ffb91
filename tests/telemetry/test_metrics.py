"""Names, units and attributes of measurements (semantic conventions 1.44.0, and choreo's own)."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Thread

from opentelemetry.sdk.metrics.export import HistogramDataPoint, MetricsData

from choreo import Context, Event, Message, Reject, Retry, Service
from choreo.broker import Broker, Notice, open_broker
from choreo.runner import started
from choreo.telemetry.conventions import DURATION_BUCKETS
from tests.telemetry.observed import Observed, Point, Settlements

AT_ONCE = Retry(attempts=3, initial=timedelta(0))


class Placed(Event, topic="orders", key="order"):
    order: str
    lines: int = 1


class Unwanted(Event, topic="orders", key="order", name="Unwanted"):
    order: str


def shop(store: str | None = None) -> Service:
    broker = f"memory://{uuid.uuid4().hex}?partitions=1"
    return Service("shop", broker=broker, store=store, retry=AT_ONCE)


def histogram(
    observed: Observed, name: str
) -> dict[tuple[tuple[str, object], ...], HistogramDataPoint]:
    return {
        tuple(sorted((point.attributes or {}).items())): point
        for point in observed.metrics()[name]
        if isinstance(point, HistogramDataPoint)
    }


COMMON = ("messaging.system", "inmemory")
ORDERS = ("messaging.destination.name", "orders")
PARTITION = ("messaging.destination.partition.id", "0")
REPLAYS = "choreo.replay.shop"
GROUP = ("messaging.consumer.group.name", "shop")


async def test_the_instruments_have_the_pinned_names_units_and_buckets(observed: Observed) -> None:
    service = shop()
    done = Settlements()

    @service.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(service, telemetry=observed.telemetry, journals=[done]):
        await service.publish(Placed(order="a"))
        await done.reach(1)
        data = observed.reader.get_metrics_data()

    assert isinstance(data, MetricsData)
    (scope,) = data.resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.scope.schema_url) == (
        "choreo",
        "https://opentelemetry.io/schemas/1.44.0",
    )
    assert {metric.name: metric.unit for metric in scope.metrics} == {
        "messaging.client.operation.duration": "s",
        "messaging.process.duration": "s",
        "messaging.client.sent.messages": "{message}",
        "messaging.client.consumed.messages": "{message}",
        "choreo.broker.notices": "{notice}",
        "choreo.consumer.lag": "{message}",
        "choreo.watermark.span": "{message}",
        "choreo.delivery.oldest.age": "s",
        "choreo.delivery.held": "{message}",
        "choreo.delivery.waiting": "{message}",
        "choreo.lanes.busy": "{lane}",
        "choreo.handlers.paused": "{handler}",
    }
    for name in ("messaging.client.operation.duration", "messaging.process.duration"):
        (point,) = histogram(observed, name).values()
        assert tuple(point.explicit_bounds) == DURATION_BUCKETS


async def test_sends_and_handlings_are_timed_and_counted_once_each(observed: Observed) -> None:
    service = shop()
    done = Settlements()

    @service.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(service, telemetry=observed.telemetry, journals=[done]):
        await service.publish_many([Placed(order="a"), Placed(order="b")])
        await service.publish(Placed(order="c"))
        await done.reach(3)

    send = (ORDERS, ("messaging.operation.name", "send"), ("messaging.operation.type", "send"))
    assert {
        key: point.count
        for key, point in histogram(observed, "messaging.client.operation.duration").items()
    } == {(*send, COMMON): 2}
    assert observed.values("messaging.client.sent.messages") == {(*send, COMMON): 3}
    assert observed.values("messaging.client.consumed.messages") == {
        (GROUP, ORDERS, PARTITION, ("messaging.operation.name", "poll"), COMMON): 3
    }
    assert {
        key: point.count for key, point in histogram(observed, "messaging.process.duration").items()
    } == {
        (
            ("choreo.handler", "charge"),
            GROUP,
            ORDERS,
            PARTITION,
            ("messaging.operation.name", "process"),
            COMMON,
        ): 3
    }


async def test_retries_and_dead_letters_are_counted_by_cause(observed: Observed) -> None:
    service = shop()
    done = Settlements()

    @service.on(Placed)
    async def charge(order: Placed, ctx: Context) -> None:
        if order.order == "rejected":
            raise Reject("no")
        if ctx.attempt < 3:
            raise LookupError("not yet")

    async with started(service, telemetry=observed.telemetry, journals=[done]):
        await service.publish_many([Placed(order="rejected"), Placed(order="late")])
        await done.reach(2)

    mine = (("choreo.handler", "charge"), ("choreo.service", "shop"))
    assert observed.values("choreo.delivery.retries") == {(*mine, ("error.type", "LookupError")): 2}
    assert observed.values("choreo.deadletter.messages") == {
        (("choreo.dead_letter.reason", "rejected"), *mine): 1
    }
    durations = histogram(observed, "messaging.process.duration")
    errors = {dict(key).get("error.type"): point.count for key, point in durations.items()}
    assert errors == {"LookupError": 2, "choreo.errors.Reject": 1, None: 1}


async def test_what_no_handler_saw_is_counted_by_what_became_of_it(observed: Observed) -> None:
    name = f"memory://{uuid.uuid4().hex}?partitions=1"
    service = Service("shop", broker=name)
    done = Settlements()

    @service.on(Placed, when=lambda order: order.lines > 1)
    async def charge(_: Placed) -> None: ...

    async with (
        open_broker(name) as broker,
        started(service, telemetry=observed.telemetry, journals=[done]),
    ):
        await service.publish(Placed(order="few", lines=1))
        await service.publish(Unwanted(order="a"))
        await _same_event_twice(broker)
        await done.reach(4)

    mine = (("choreo.handler", "charge"),)
    shop_ = ("choreo.service", "shop")
    assert observed.values("choreo.delivery.skipped") == {
        (*mine, ("choreo.outcome", "filtered"), shop_): 1,
        (("choreo.outcome", "ignored"), shop_): 1,
    }
    assert observed.values("choreo.dedupe.hits") == {(*mine, shop_): 1}


async def _same_event_twice(broker: Broker) -> None:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"same"),
        ("ce_source", b"urn:elsewhere"),
        ("ce_type", b"Placed.v1"),
        ("content-type", b"application/json"),
    ]
    message = Message("orders", b'{"order": "b", "lines": 2}', b"b", headers)
    await broker.publish([message])
    await broker.publish([message])


async def test_gauges_tell_what_waits_and_for_how_long(observed: Observed) -> None:
    service = shop()
    done = Settlements()
    began, go = asyncio.Event(), asyncio.Event()

    @service.on(Placed)
    async def charge(_: Placed) -> None:
        began.set()
        await go.wait()

    async with started(service, telemetry=observed.telemetry, journals=[done]):
        before = datetime.now(UTC).timestamp()
        await service.publish_many([Placed(order="a"), Placed(order="a"), Placed(order="b")])
        await began.wait()
        waiting = observed.metrics()
        after = datetime.now(UTC).timestamp()
        go.set()
        await done.reach(3)
        handled = observed.metrics()

    mine = {"choreo.service": "shop"}
    stream = {**mine, **dict([ORDERS, PARTITION])}
    for name, value, attributes in (
        ("choreo.delivery.held", 3, mine),
        ("choreo.lanes.busy", 2, mine),
        ("choreo.delivery.waiting", 0, mine),
        ("choreo.consumer.lag", 3, stream),
        ("choreo.watermark.span", 3, stream),
    ):
        assert _gauge(waiting[name]) == (value, attributes), name
    age, _ = _gauge(waiting["choreo.delivery.oldest.age"])
    assert 0 <= age <= after - before + 0.1
    assert _gauge(handled["choreo.delivery.held"]) == (0, mine)


def _gauge(points: Sequence[Point]) -> tuple[float, dict[str, object]]:
    """Read the one point of a gauge, that of the replays' stream left out."""
    (point,) = [point for point in points if REPLAYS not in str(point.attributes)]
    assert not isinstance(point, HistogramDataPoint)
    return point.value, dict(point.attributes or {})


async def test_what_lies_in_the_outbox_is_measured(observed: Observed) -> None:
    service = shop(store="memory://")
    done = Settlements()

    @service.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(service, telemetry=observed.telemetry, journals=[done]):
        await service.publish(Placed(order="a"))
        await done.reach(1)
        metrics = observed.metrics()

    for name in ("choreo.outbox.depth", "choreo.outbox.quarantined", "choreo.outbox.oldest.age"):
        assert _gauge(metrics[name]) == (0, {"choreo.service": "shop"}), name


async def test_a_provider_may_collect_in_a_thread_of_its_own(observed: Observed) -> None:
    service = shop()
    found: list[float] = []

    def collect() -> None:
        found.extend(observed.values("choreo.delivery.held").values())

    @service.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(service, telemetry=observed.telemetry):
        await asyncio.to_thread(collect)
    # The service is gone, and then its loop: nothing to read, nothing that fails.
    thread = Thread(target=collect)
    thread.start()
    thread.join()

    assert found == [0]


async def test_a_service_that_was_started_again_goes_on_counting(observed: Observed) -> None:
    service = shop()
    done = Settlements()

    @service.on(Placed)
    async def charge(_: Placed) -> None: ...

    held: list[float] = []
    for turn in range(2):
        async with started(service, telemetry=observed.telemetry, journals=[done]):
            await service.publish(Placed(order="a"))
            await done.reach(turn + 1)
            held += observed.values("choreo.delivery.held").values()

    assert list(observed.values("messaging.client.sent.messages").values()) == [2]
    assert held == [0, 0]


async def test_notices_of_the_adapter_are_counted_by_kind(observed: Observed) -> None:
    service = shop()

    @service.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(service, telemetry=observed.telemetry) as running:
        assert running.worker is not None
        running.worker.notice(Notice(kind="gap", text="3 are gone", missing=3))

    counted = observed.values("choreo.broker.notices")
    assert counted[("choreo.notice", "gap"), ("choreo.service", "shop")] == 1


async def test_no_label_grows_with_the_events(observed: Observed) -> None:  # T14
    service = shop()
    done = Settlements()

    @service.on(Placed)
    async def charge(order: Placed) -> None:
        if order.lines % 2:
            raise Reject(f"no {order.order}")

    async with started(service, telemetry=observed.telemetry, journals=[done]):
        await service.publish_many([Placed(order=f"o{n}", lines=n) for n in range(100)])
        await done.reach(100)

    assert max(len(points) for points in observed.metrics().values()) <= 3
