"""Nobody is handed more than asked for, and nobody reads ahead without bound."""

# ruff: noqa: PLR2004 -- numbers in a test are its data

import asyncio
import gc
import tracemalloc
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random

from choreo.message import Delivery, Message
from choreo.testing.contract.bench import (
    KEYS,
    Member,
    bench,
    check,
    in_key_order,
    need,
    numbers,
    same,
    within,
)
from choreo.testing.contract.setup import BrokerSetup

MEBIBYTE = 1024 * 1024
SPAN = 8


class Demand:
    """Back-pressure, seen from outside."""

    async def test_a_poll_hands_over_at_most_what_was_asked_for(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(100))
            got: list[Delivery] = []
            for limit in (1, 3, 7, 50, 1):
                batch = await member.consumer.poll(limit)
                check(1 <= len(batch) <= limit, f"asked for {limit}, got {len(batch)}")
                got.extend(batch)
            got.extend(await member.receive(100 - len(got)))

        same(sorted(numbers(got)), list(range(100)), "numbers")
        in_key_order(got, keys=b.keys)

    async def test_a_consumer_that_does_not_poll_holds_no_more_than_its_read_ahead(
        self, setup: BrokerSetup
    ) -> None:
        """Traps M6, K12: 32 MiB are published to a consumer that may hold 1 MiB."""
        body = bytes(MEBIBYTE // 4)
        async with (
            bench(setup) as b,
            b.join(wish=lambda s: replace(s, read_ahead=16, read_ahead_bytes=MEBIBYTE)) as member,
        ):
            await b.publish([0])
            await member.receive(1)
            gc.collect()
            tracemalloc.start()
            try:
                for number in range(64):
                    key = KEYS[number % len(KEYS)] if b.keys else None
                    await b.broker.publish([Message(b.topic, body, key)] * 2)
                await asyncio.sleep(setup.quiet)
                gc.collect()
                held, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()

            check(held < 8 * MEBIBYTE, f"{held / MEBIBYTE:.1f} MiB are held")
            same(len(await member.receive(128)), 128, "deliveries")

    async def test_a_member_that_does_not_poll_stays_a_member(self, setup: BrokerSetup) -> None:
        """Traps K6, K12."""
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(20))
            got = await member.receive(10)
            revoked = len(member.recorder.revoked)

            await asyncio.sleep(setup.idle)

            same(len(member.recorder.revoked), revoked, "revocations")
            got += await member.receive(10)
            same(sorted(numbers(got)), list(range(20)), "numbers")
            member.consumer.settle(got)
            same(numbers(await b.rest(member)), [], "came again")

    async def test_a_stream_rests_while_its_oldest_delivery_is_unsettled(
        self, setup: BrokerSetup
    ) -> None:
        async with (
            bench(setup) as b,
            b.join(wish=lambda s: replace(s, max_span=SPAN)) as member,
        ):
            await b.publish(range(3 * SPAN), key=b"one key")
            got = await member.receive(SPAN)

            member.consumer.settle(got[1:])
            await _nothing_comes(member, setup.quiet)
            member.consumer.settle(got[:1])
            rest = await member.collect(
                lambda more: 2 * SPAN - len(more), "the rest of the stream", settle=True
            )

        same(numbers(got + rest), list(range(3 * SPAN)), "numbers")

    async def test_a_stuck_stream_does_not_stop_the_others(self, setup: BrokerSetup) -> None:
        async with (
            bench(setup) as b,
            b.join(wish=lambda s: replace(s, max_span=SPAN)) as member,
        ):
            need(b.keys, "all messages are in one stream")
            await b.publish(range(len(KEYS)))
            probes = await member.collect(lambda got: len(KEYS) - len(got), "probes", settle=True)
            streams = {delivery.key: delivery.stream for delivery in probes}
            stuck = KEYS[0]
            free = next((key for key in KEYS if streams[key] != streams[stuck]), None)
            check(free, f"one stream holds all of {len(KEYS)} keys: {set(streams.values())}")

            await b.publish(range(100, 100 + 5 * SPAN), key=stuck)
            await b.publish(range(200, 200 + 5 * SPAN), key=free)
            taken: dict[bytes | None, list[Delivery]] = defaultdict(list)

            def settle_free(got: list[Delivery]) -> int:
                taken.clear()
                for delivery in got:
                    taken[delivery.key].append(delivery)
                member.consumer.settle(taken[free])
                return 5 * SPAN - len(taken[free])

            await member.collect(settle_free, "the free stream's deliveries")

        check(len(taken[stuck]) <= SPAN, f"{len(taken[stuck])} of the stuck stream came")

    async def test_stopping_the_intake_ends_a_waiting_poll(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            polling = asyncio.ensure_future(member.consumer.poll(10))
            await asyncio.sleep(0.01)

            member.consumer.stop_intake()

            await within(setup.patience, polling, "the waiting poll to return")
            same(list(polling.result()), [], "handed over")
            await b.publish([1])
            same(list(await member.consumer.poll(10)), [], "handed over later")

    async def test_cancelling_a_poll_loses_nothing(self, setup: BrokerSetup) -> None:
        """Traps K13, K14."""
        random = Random(14)
        got: list[Delivery] = []
        async with bench(setup) as b, b.join() as member, asyncio.TaskGroup() as tasks:
            tasks.create_task(_publish_slowly(b.publish, 300), name="publisher")
            async with asyncio.timeout(setup.patience):
                while len(got) < 300:
                    got.extend(await _cancelled_poll(member, random))

        same(sorted(numbers(got)), list(range(300)), "numbers")
        in_key_order(got, keys=b.keys)


async def _publish_slowly(publish: Callable[[range], Awaitable[None]], count: int) -> None:
    for number in range(0, count, 3):
        await publish(range(number, number + 3))
        await asyncio.sleep(0.001)


async def _cancelled_poll(member: Member, random: Random) -> list[Delivery]:
    """Poll, cancel that a little later, and return what a careful caller still gets."""
    polling = asyncio.ensure_future(member.consumer.poll(5))
    if random.random() < 0.2:
        await asyncio.sleep(0.003 * random.random())
    for _ in range(random.randrange(8)):
        await asyncio.sleep(0)
    polling.cancel()
    await asyncio.wait([polling])
    return [] if polling.cancelled() else list(polling.result())


async def _nothing_comes(member: Member, seconds: float) -> None:
    polling = asyncio.ensure_future(member.consumer.poll(100))
    await asyncio.wait([polling], timeout=seconds)
    polling.cancel()
    await asyncio.wait([polling])
    if not polling.cancelled():
        same(numbers(polling.result()), [], "handed over beyond max_span")
