"""An event's effect happens once: its rows, its emits and its end are one transaction."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from choreo import Context, Message, Retry, Service
from choreo.delivery.job import Outcome
from choreo.errors import ConfigurationError, IdConflict
from choreo.reason import Reason
from choreo.runner import started
from choreo.testing import Harness
from choreo_sql import SqlTransaction
from tests.durable.conftest import Effects
from tests.durable.shop import SOON, Counted, Placed, Shop, Taken
from tests.patience import patient


def _copies(world: Harness, topic: str) -> list[Message]:
    return [message for message in world.messages if message.topic == topic]


async def test_rows_emits_and_end_are_written_together(url: str, effects: Effects) -> None:
    shop = Shop(url)

    async with Harness(shop.service) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

        assert world.published(Taken) == [Taken(order="a")]
        assert shop.taken == ["a"]
    assert await effects.seen() == ["charge a"]


async def test_what_a_failed_attempt_wrote_is_gone_o11(url: str, effects: Effects) -> None:
    shop = Shop(url)
    shop.failing = 2

    async with Harness(shop.service) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

        assert shop.attempts == [1, 2, 3]
        assert world.published(Taken) == [Taken(order="a")]
    assert await effects.seen() == ["charge a"]


async def test_a_duplicate_has_no_effect_after_a_restart(url: str, effects: Effects) -> None:
    first, second = Shop(url), Shop(url)
    async with Harness(first.service) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        (order,) = _copies(world, "orders")

    async with Harness(second.service) as world:
        await world.send(order, order)
        await world.settle()

        assert second.attempts == []
        assert world.outcomes(second.charge) == {Outcome.DUPLICATE: 2}
        assert world.published(Taken) == []
    assert await effects.seen() == ["charge a"]


async def test_attempts_are_counted_over_a_restart_d13(url: str, effects: Effects) -> None:
    slow = Retry(attempts=5, initial=SOON, multiplier=1000, maximum=timedelta(hours=1))
    first, second = Shop(url, slow), Shop(url)
    first.failing = 99
    async with Harness(first.service) as world:
        await world.publish(Placed(order="a"))
        worker = world.running(first.service).worker
        assert worker is not None
        async with asyncio.timeout(patient(5)):
            while len(first.attempts) < 2 or worker.busy:
                await asyncio.sleep(0.001)
        (order,) = _copies(world, "orders")

    async with Harness(second.service) as world:
        await world.send(order)
        await world.settle()

    assert first.attempts == [1, 2]
    assert second.attempts == [3]
    assert await effects.seen() == ["charge a"]


async def test_another_payload_under_a_known_id_is_dead_lettered_i10(
    url: str, effects: Effects
) -> None:
    first, second = Shop(url), Shop(url)
    async with Harness(first.service) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        (order,) = _copies(world, "orders")
    forged = replace(order, body=(order.body or b"").replace(b'"a"', b'"b"'))

    async with Harness(second.service) as world:
        await world.send(forged)
        await world.settle()

        (letter,) = world.dead_letters
        assert letter.reason is Reason.ID_CONFLICT
        assert letter.error_type == f"{IdConflict.__module__}.{IdConflict.__qualname__}"
    assert await effects.seen() == ["charge a"]


async def test_events_with_one_idempotency_key_are_one_effect(url: str, effects: Effects) -> None:
    shop = Shop(url)

    async with Harness(shop.service) as world:
        await world.publish(Placed(order="a", payment="p1"))
        await world.publish(Placed(order="b", payment="p1"))
        await world.publish(Placed(order="c", payment="p2"))
        await world.settle()

        assert len(world.published(Taken)) == 2
    assert len(await effects.seen()) == 2


async def test_the_outbox_numbers_events_per_key(url: str, effects: Effects) -> None:
    shop = Shop(url)

    async with Harness(shop.service) as world:
        for order in "aabab":
            await world.publish(Placed(order=order))
        await world.settle()
        numbers: dict[str, list[int]] = {}
        for message in _copies(world, "counts"):
            headers = dict(message.headers)
            stream = (headers["ce_streamid"] or b"").decode()
            numbers.setdefault(stream, []).append(int(headers["ce_streamseq"] or b""))
            assert int(headers["ce_streamepoch"] or b"") > 0

        assert len(world.published(Counted)) == 5
    assert numbers == {"Counted:a": [1, 2, 3], "Counted:b": [1, 2]}
    assert len(await effects.seen()) == 5


async def test_without_a_store_a_handler_that_asks_for_its_transaction_is_refused() -> None:
    shop: Service[SqlTransaction] = Service("shop")

    @shop.on(Placed)
    async def charge(_: Placed, ctx: Context[SqlTransaction]) -> None:
        await ctx.transaction.connection.close()

    with pytest.raises(ConfigurationError, match=r"charge .* asks for Context\[SqlTransaction\]"):
        async with started(shop):
            pass


async def test_a_plain_function_is_refused_a_transaction_of_coroutines(url: str) -> None:
    """In its thread they would do nothing, and the event would pass for handled."""
    shop: Service[SqlTransaction] = Service("shop", store=url)

    @shop.on(Placed)
    def charge(_: Placed, ctx: Context[SqlTransaction]) -> None:
        ctx.transaction.session()

    with pytest.raises(ConfigurationError, match=r"charge .* make it async def"):
        async with started(shop):
            pass


async def test_another_stores_transaction_is_refused() -> None:
    shop: Service[SqlTransaction] = Service("shop", store="memory://elsewhere")

    @shop.on(Placed)
    async def charge(_: Placed, ctx: Context[SqlTransaction]) -> None:
        await ctx.transaction.connection.close()

    with pytest.raises(ConfigurationError, match="memory://elsewhere gives MemoryTransaction"):
        async with started(shop):
            pass
