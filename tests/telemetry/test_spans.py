"""Names and attributes of spans, held against what the conventions say (1.44.0)."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from choreo import Context, Event, Reject, Retry, Service
from choreo.runner import started
from tests.telemetry.observed import Observed, attributes, context, linked, parent


class Placed(Event, topic="orders", key="order"):
    order: str
    lines: int = 1


class Paid(Event, topic="payments", key="order"):
    order: str


class Shipped(Event, topic="shipments", key="order"):
    order: str


def service(**options: Any) -> Service:  # noqa: ANN401 -- as Service itself takes them
    return Service("shop", broker=f"memory://{uuid.uuid4().hex}?partitions=1", **options)


def envelope_attributes(identity: str, kind: str, correlation: str) -> dict[str, object]:
    return {
        "messaging.message.id": identity,
        "messaging.message.conversation_id": correlation,
        "cloudevents.event_id": identity,
        "cloudevents.event_source": "urn:choreo:shop",
        "cloudevents.event_spec_version": "1.0",
        "cloudevents.event_type": kind,
    }


async def test_a_publish_and_its_handling_make_a_send_and_a_process_span(
    observed: Observed,
) -> None:
    shop = service()

    @shop.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(shop, telemetry=observed.telemetry):
        identity = await shop.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.spans) == 2)

    send, process = observed.one("send orders"), observed.one("process orders")
    assert send.kind is SpanKind.PRODUCER
    assert send.parent is None
    assert attributes(send) == {
        "messaging.system": "inmemory",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        **envelope_attributes(identity, "Placed.v1", identity),
    }
    assert process.kind is SpanKind.CONSUMER
    assert parent(process) == context(send).span_id
    assert linked(process) == [context(send).span_id]
    assert attributes(process) == {
        "messaging.system": "inmemory",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": "shop",
        "choreo.handler": "charge",
        "choreo.attempt": 1,
        **envelope_attributes(identity, "Placed.v1", identity),
    }
    for span in (send, process):
        assert_choreos_own(span)


def assert_choreos_own(span: ReadableSpan) -> None:
    """Hold that it names its author and its conventions, and that nothing went wrong."""
    scope = span.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("choreo", "https://opentelemetry.io/schemas/1.44.0")
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()


async def test_a_batch_makes_a_create_span_for_each_event_and_one_send_span_that_links_to_them(
    observed: Observed,
) -> None:
    shop = service()

    async with started(shop, telemetry=observed.telemetry, settings=shop.settings()):
        await shop.publish_many([Placed(order="a"), Placed(order="b")])

    first, second = observed.named("create orders")
    send = observed.one("send orders")
    assert {first.kind, second.kind} == {SpanKind.PRODUCER}
    assert send.kind is SpanKind.CLIENT
    assert linked(send) == [context(first).span_id, context(second).span_id]
    assert (
        attributes(first).items()
        >= {
            "messaging.operation.name": "create",
            "messaging.operation.type": "create",
            "messaging.destination.name": "orders",
        }.items()
    )
    assert attributes(send) == {
        "messaging.system": "inmemory",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.batch.message_count": 2,
    }


async def test_a_batch_to_several_topics_names_none(observed: Observed) -> None:
    shop = service()

    async with started(shop, telemetry=observed.telemetry):
        await shop.publish_many([Placed(order="a"), Paid(order="b")])

    send = observed.one("send")
    assert "messaging.destination.name" not in attributes(send)


async def test_without_create_spans_a_batch_shares_the_send_span(observed: Observed) -> None:
    shop = service(trace_create=False)

    @shop.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(shop, telemetry=observed.telemetry):
        await shop.publish_many([Placed(order="a"), Placed(order="b")])
        await observed.until(lambda: len(observed.spans) == 3)

    send = observed.one("send orders")
    assert send.kind is SpanKind.PRODUCER
    assert [parent(span) for span in observed.named("process orders")] == [
        context(send).span_id
    ] * 2


async def emitting(observed: Observed, shop: Service) -> ReadableSpan:
    """Publish one order, wait for both events to be handled; return the handler's span."""
    async with started(shop, telemetry=observed.telemetry):
        await shop.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.named("process payments")) == 1)
    return observed.one("process orders")


@pytest.mark.parametrize("way", ["returned", "yielded", "published"])
async def test_an_emitted_event_is_sent_below_the_span_of_its_handler(
    observed: Observed, way: str
) -> None:
    shop = service()
    causes: list[tuple[str | None, str]] = []

    if way == "returned":

        @shop.on(Placed, id="charge")
        async def returned(order: Placed) -> Paid:
            return Paid(order=order.order)

    elif way == "yielded":

        @shop.on(Placed, id="charge")
        async def yielded(order: Placed) -> AsyncIterator[Paid]:
            yield Paid(order=order.order)

    else:

        @shop.on(Placed, id="charge", publishes=[Paid])
        async def published(order: Placed, ctx: Context) -> None:
            await ctx.publish(Paid(order=order.order))

    @shop.on(Paid)
    async def ship(_: Paid, ctx: Context) -> None:
        causes.append((ctx.causation_id, ctx.correlation_id))

    handling = await emitting(observed, shop)

    send = observed.one("send payments")
    assert parent(send) == context(handling).span_id
    assert parent(observed.one("process payments")) == context(send).span_id
    root = str(attributes(handling)["messaging.message.id"])
    assert causes == [(root, root)]
    assert attributes(send)["messaging.message.conversation_id"] == root
    assert attributes(send)["choreo.causation_id"] == root
    assert len({context(span).trace_id for span in observed.spans}) == 1


async def test_a_users_own_span_is_a_child_of_the_process_span_in_threads_too(
    observed: Observed,
) -> None:
    shop = service()
    tracer = observed.tracers.get_tracer("user")

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        with tracer.start_as_current_span("gateway"):
            pass

    @shop.on(Placed)
    def pack(_: Placed) -> None:
        with tracer.start_as_current_span("box"):
            pass

    async with started(shop, telemetry=observed.telemetry):
        await shop.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.named("process orders")) == 2)

    by_handler = {
        attributes(span)["choreo.handler"]: context(span).span_id
        for span in observed.named("process orders")
    }
    assert parent(observed.one("gateway")) == by_handler["charge"]
    assert parent(observed.one("box")) == by_handler["pack"]


async def test_what_is_ambient_where_a_service_starts_is_no_parent_of_its_handling(
    observed: Observed,
) -> None:
    shop = service()

    @shop.on(Placed)
    async def charge(_: Placed) -> None: ...

    with observed.tracers.get_tracer("user").start_as_current_span("main") as main:
        async with started(shop, telemetry=observed.telemetry):
            await shop.publish(Placed(order="a"))
            await observed.until(lambda: len(observed.named("process orders")) == 1)
        assert trace.get_current_span() is main

    send = observed.one("send orders")
    assert parent(send) == main.get_span_context().span_id
    assert parent(observed.one("process orders")) == context(send).span_id


async def test_with_links_instead_of_parents_each_handling_begins_a_trace(
    observed: Observed,
) -> None:
    shop = service(trace_parent="link")

    @shop.on(Placed)
    async def charge(_: Placed) -> None: ...

    async with started(shop, telemetry=observed.telemetry):
        await shop.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.spans) == 2)

    send, process = observed.one("send orders"), observed.one("process orders")
    assert process.parent is None
    assert context(process).trace_id != context(send).trace_id
    assert linked(process) == [context(send).span_id]


async def test_a_failing_attempt_is_an_error_and_the_next_one_is_not(observed: Observed) -> None:
    shop = service(retry=Retry(attempts=2, initial=timedelta(0)))

    @shop.on(Placed)
    async def charge(_: Placed, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise LookupError("no gateway, password=CANARY")

    async with started(shop, telemetry=observed.telemetry):
        await shop.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.named("process orders")) == 2)

    first, second = observed.named("process orders")
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "no gateway, password=[redacted]"
    assert attributes(first)["error.type"] == "LookupError"
    assert second.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(second)
    assert attributes(second)["choreo.attempt"] == 2


async def test_a_dead_letter_is_a_settle_span_below_its_last_attempt_with_the_send_below_it(
    observed: Observed,
) -> None:
    shop = service()

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        raise Reject("no such customer")

    async with started(shop, telemetry=observed.telemetry):
        identity = await shop.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.named("settle orders")) == 1)

    process, settle = observed.one("process orders"), observed.one("settle orders")
    assert attributes(process)["error.type"] == "choreo.errors.Reject"
    assert settle.kind is SpanKind.CLIENT
    assert parent(settle) == context(process).span_id
    assert linked(settle) == [context(observed.one("send orders")).span_id]
    assert settle.status.status_code is StatusCode.UNSET
    assert attributes(settle) == {
        "messaging.system": "inmemory",
        "messaging.operation.name": "settle",
        "messaging.operation.type": "settle",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": "shop",
        "choreo.dead_letter.reason": "rejected",
        **envelope_attributes(identity, "Placed.v1", identity),
    }
    send = observed.one("send choreo.dlq.shop")
    assert send.kind is SpanKind.CLIENT
    assert parent(send) == context(settle).span_id
    assert linked(send) == [context(settle).span_id]


async def test_an_event_that_the_handler_did_not_want_makes_no_span(observed: Observed) -> None:
    shop = service()

    @shop.on(Placed, when=lambda order: order.lines > 1)
    async def charge(_: Placed) -> None: ...

    async with started(shop, telemetry=observed.telemetry):
        await shop.publish(Placed(order="a", lines=1))
        await shop.publish(Placed(order="a", lines=2))
        await observed.until(lambda: len(observed.named("process orders")) == 1)

    assert len(observed.spans) == 3
