"""What telemetry says when the broker does not take what it is given."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from choreo import Event, Message, PublishError, Reject, Retry, Service
from choreo.environment import Environment
from choreo.runner import started
from choreo.testing import ManualClock
from choreo_memory import MemoryBroker
from tests.telemetry.observed import Observed, attributes, context, linked, parent

HOUR = 3600.0


class Placed(Event, topic="orders", key="order"):
    order: str


class Paid(Event, topic="payments", key="order"):
    order: str


class RefusingOnce(MemoryBroker):
    """A memory broker that refuses the first message for one topic."""

    def __init__(self, url: str, topic: str) -> None:
        super().__init__(url)
        self._topic: str | None = topic

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Refuse once, then take everything."""
        refused = [i for i, message in enumerate(messages) if message.topic == self._topic][:1]
        await super().publish([m for i, m in enumerate(messages) if i not in refused])
        if refused:
            self._topic = None
            raise PublishError("refused", refused=dict.fromkeys(refused, "no room"))


def shop(topic: str) -> Service:
    broker = RefusingOnce(f"memory://{uuid.uuid4().hex}?partitions=1", topic)
    return Service("shop", broker=broker, retry=Retry(initial=timedelta(0)))


def sent(observed: Observed, topic: str) -> dict[object, float]:
    return {
        dict(key).get("error.type"): value
        for key, value in observed.values("messaging.client.sent.messages").items()
        if dict(key)["messaging.destination.name"] == topic
    }


async def test_a_second_try_is_a_client_span_linked_to_the_first_whose_context_the_event_has(
    observed: Observed,
) -> None:
    service, clock = shop("payments"), ManualClock()

    @service.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order=order.order)

    @service.on(Paid)
    async def ship(_: Paid) -> None: ...

    environment = Environment(clock=clock)
    async with started(service, telemetry=observed.telemetry, environment=environment):
        await service.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.named("send payments")) == 1)
        await clock.advance(HOUR)
        await observed.until(lambda: len(observed.named("process payments")) == 1)

    first, second = observed.named("send payments")
    assert first.kind is SpanKind.PRODUCER
    assert first.status.status_code is StatusCode.ERROR
    assert attributes(first)["error.type"] == "choreo.errors.PublishError"
    assert second.kind is SpanKind.CLIENT
    assert second.status.status_code is StatusCode.UNSET
    assert parent(second) == context(first).span_id
    assert linked(second) == [context(first).span_id]
    assert parent(observed.one("process payments")) == context(first).span_id
    assert sent(observed, "payments") == {"choreo.errors.PublishError": 1, None: 1}


async def test_of_a_batch_only_what_was_refused_counts_as_failed(observed: Observed) -> None:
    service = shop("orders")

    async with started(service, telemetry=observed.telemetry):
        with pytest.raises(PublishError):
            await service.publish_many([Placed(order=str(number)) for number in range(5)])

    assert sent(observed, "orders") == {"choreo.errors.PublishError": 1, None: 4}
    assert observed.one("send orders").status.status_code is StatusCode.ERROR


async def test_a_dead_letter_that_is_refused_is_a_failed_settle_and_then_another(
    observed: Observed,
) -> None:
    service, clock = shop("choreo.dlq.shop"), ManualClock()

    @service.on(Placed)
    async def charge(_: Placed) -> None:
        raise Reject("no")

    environment = Environment(clock=clock)
    async with started(service, telemetry=observed.telemetry, environment=environment):
        await service.publish(Placed(order="a"))
        await observed.until(lambda: len(observed.named("settle orders")) == 1)
        await clock.advance(HOUR)
        await observed.until(lambda: len(observed.named("settle orders")) == 2)

    first, second = observed.named("settle orders")
    assert attributes(first)["error.type"] == "choreo.errors.PublishError"
    assert second.status.status_code is StatusCode.UNSET
    assert {parent(first), parent(second)} == {context(observed.one("process orders")).span_id}


async def test_an_overrun_is_told_from_a_stop(observed: Observed) -> None:
    service, clock, began = shop("none"), ManualClock(), asyncio.Event()

    @service.on(Placed, deadline=timedelta(seconds=1), retry=Retry(attempts=1))
    async def charge(_: Placed) -> None:
        began.set()
        await clock.sleep(HOUR)

    environment = Environment(clock=clock)
    async with started(service, telemetry=observed.telemetry, environment=environment):
        await service.publish(Placed(order="a"))
        await began.wait()
        await clock.advance(2)
        await observed.until(lambda: len(observed.named("settle orders")) == 1)

    process = observed.one("process orders")
    assert attributes(process)["error.type"] == "choreo.errors.HandlerTimeout"
    assert attributes(observed.one("settle orders"))["choreo.dead_letter.reason"] == "timeout"
