"""One trace through three services on real brokers, read back as a collector would see it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

from opentelemetry.trace import SpanKind

from choreo import Context, Event, Service
from choreo.runner import started
from tests.local import KafkaPart, MqttPart
from tests.telemetry.observed import Observed, attributes, context, linked, parent

RUN = uuid.uuid4().hex[:8]


class Placed(Event, topic=f"telemetry-orders-{RUN}", key="order"):
    order: str


class Paid(Event, topic=f"telemetry-payments-{RUN}", key="order"):
    order: str


class Shipped(Event, topic=f"telemetry-shipments-{RUN}", key="order"):
    order: str


class Queued(Event, topic=f"telemetry-queue-{RUN}", key="order"):
    order: str


class Chain:
    """Payment returns, inventory yields, shipping publishes: three services, one conversation."""

    def __init__(self, url: str, name: Callable[[str], str]) -> None:
        def service(stem: str) -> Service:
            return Service(name(stem), broker=url, create_topics=True, partitions=2)

        self.payment = service("payment")
        self.inventory = service("inventory")
        self.shipping = service("shipping")
        self.services = (self.payment, self.inventory, self.shipping)
        self.seen: dict[str, Context] = {}
        self.end = asyncio.Event()

        @self.payment.on(Placed)
        async def charge(order: Placed, ctx: Context) -> Paid:
            self.seen["charge"] = ctx
            return Paid(order=order.order)

        @self.inventory.on(Paid)
        async def pick(paid: Paid, ctx: Context) -> AsyncIterator[Shipped]:
            self.seen["pick"] = ctx
            yield Shipped(order=paid.order)

        @self.shipping.on(Shipped)
        async def deliver(_: Shipped, ctx: Context) -> None:
            self.seen["deliver"] = ctx
            self.end.set()


async def follow(chain: Chain, observed: list[Observed]) -> str:
    """Run the chain once, each service with providers of its own; return the root's id."""
    async with AsyncExitStack() as stack:
        for service, each in zip(chain.services, observed, strict=True):
            await stack.enter_async_context(started(service, telemetry=each.telemetry))
        identity = await chain.payment.publish(Placed(order="a"))
        await chain.end.wait()
    return identity


async def test_one_trace_goes_through_three_services_on_kafka(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    observed = [Observed() for _ in range(3)]
    chain = Chain(real_kafka.url, fresh_name)

    root = await follow(chain, observed)

    payment, inventory, shipping = observed
    path = [
        payment.one(f"send telemetry-orders-{RUN}"),
        payment.one(f"process telemetry-orders-{RUN}"),
        payment.one(f"send telemetry-payments-{RUN}"),
        inventory.one(f"process telemetry-payments-{RUN}"),
        inventory.one(f"send telemetry-shipments-{RUN}"),
        shipping.one(f"process telemetry-shipments-{RUN}"),
    ]
    assert sum(len(each.spans) for each in observed) == len(path)
    assert len({context(span).trace_id for span in path}) == 1
    assert [parent(span) for span in path] == [
        None,
        *(context(span).span_id for span in path[:-1]),
    ]
    assert [span.kind for span in path] == [SpanKind.PRODUCER, SpanKind.CONSUMER] * 3
    for send, process in zip(path[::2], path[1::2], strict=True):
        assert linked(process) == [context(send).span_id]
        assert attributes(process)["messaging.system"] == "kafka"
        assert attributes(process)["messaging.kafka.message.key"] == "a"
        assert isinstance(attributes(process)["messaging.kafka.offset"], int)
        assert attributes(process)["messaging.destination.partition.id"] in {"0", "1"}
        assert attributes(process)["server.address"] == "127.0.0.1"
        assert attributes(process)["messaging.message.conversation_id"] == root
    _causes_are_carried(chain, root)
    for each in observed:
        each.close()


def _causes_are_carried(chain: Chain, root: str) -> None:
    charge, pick, deliver = (chain.seen[name] for name in ("charge", "pick", "deliver"))
    assert [each.correlation_id for each in (charge, pick, deliver)] == [root] * 3
    assert [each.causation_id for each in (charge, pick, deliver)] == [None, root, pick.id]


async def test_lag_is_read_from_kafka(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str], observed: Observed
) -> None:
    service = Service(fresh_name("lag"), broker=real_kafka.url, create_topics=True, partitions=1)
    began, go = asyncio.Event(), asyncio.Event()

    @service.on(Queued)
    async def charge(_: Queued) -> None:
        began.set()
        await go.wait()

    async with started(service, telemetry=observed.telemetry):
        await service.publish_many([Queued(order="a"), Queued(order="a")])
        await began.wait()
        lag = await asyncio.to_thread(observed.values, "choreo.consumer.lag")
        go.set()

    assert {dict(key)["messaging.destination.name"] for key in lag} == {f"telemetry-queue-{RUN}"}
    assert sum(lag.values()) == 2


class Measured(Event, topic=f"telemetry-{RUN}/room/{{room}}/temperature", key="room"):
    room: str


async def test_mqtt_is_named_by_its_own_words_and_by_templates_never_by_filled_topics(
    mosquitto: MqttPart, fresh_name: Callable[[str], str], observed: Observed
) -> None:  # T14
    service = Service(fresh_name("room"), broker=mosquitto.url)
    template = f"telemetry-{RUN}/room/{{room}}/temperature"

    @service.on(Measured)
    async def note(_: Measured) -> None: ...

    async with started(service, telemetry=observed.telemetry):
        await service.publish(Measured(room="r1"))
        await service.publish(Measured(room="r2"))
        await observed.until(lambda: len(observed.named(f"process {template}")) == 2)
        metrics = observed.metrics()

    send = observed.named(f"publish {template}")[0]
    process = observed.named(f"process {template}")[0]
    assert attributes(send)["messaging.operation.name"] == "publish"
    assert attributes(send)["messaging.operation.type"] == "send"
    for span in (send, process):
        assert attributes(span)["messaging.system"] == "mqtt"
        assert attributes(span)["messaging.destination.template"] == template
        assert attributes(span)["messaging.destination.name"] == (
            f"telemetry-{RUN}/room/r1/temperature"
        )
    assert attributes(process)["messaging.destination.subscription.name"] == (
        f"telemetry-{RUN}/room/+/temperature"
    )
    assert parent(process) == context(send).span_id
    for points in metrics.values():
        assert not any("r1" in str(dict(point.attributes or {})) for point in points)
