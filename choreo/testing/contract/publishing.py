"""What a publish call says is true, and what it accepted can be read."""

import asyncio

from choreo.errors import BrokerError, PublishError
from choreo.message import Message
from choreo.testing.contract.bench import (
    KEYS,
    bench,
    check,
    fail,
    in_key_order,
    need,
    numbers,
    same,
)
from choreo.testing.contract.setup import BrokerSetup


class Publishing:
    """Accepted, refused or unknown; in order within a key."""

    async def test_order_is_kept_within_one_call(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(400))

            got = await member.receive(400)

        same(sorted(numbers(got)), list(range(400)), "numbers")
        in_key_order(got, keys=b.keys)

    async def test_order_is_kept_within_a_key_under_concurrency(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            lanes = len(KEYS) if b.keys else 1

            async def publish(lane: int) -> None:
                for number in range(lane, 25 * lanes, lanes):
                    await b.publish([number])

            async with asyncio.TaskGroup() as tasks:
                for lane in range(lanes):
                    tasks.create_task(publish(lane), name=f"publish {lane}")
            got = await member.receive(25 * lanes)

        same(sorted(numbers(got)), list(range(25 * lanes)), "numbers")
        in_key_order(got, keys=b.keys)

    async def test_a_stream_is_handed_over_in_the_order_of_its_positions(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(100))
            got = await member.receive(100)

        last: dict[str, int] = {}
        for delivery in got:
            position = last.get(delivery.stream, -1)
            check(delivery.position > position, f"{delivery.position} came after {position}")
            last[delivery.stream] = delivery.position

    async def test_publishing_nothing_is_allowed(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            await b.broker.publish([])

    async def test_a_message_over_the_limit_is_refused_and_its_neighbours_are_not(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K31, P4, M24."""
        async with bench(setup) as b, b.join() as member:
            limit = b.broker.capabilities.max_message_bytes
            need(limit, "the adapter declares no largest message")
            huge = Message(b.topic, bytes((limit or 0) + 1), b.message(1).key)

            try:
                await b.broker.publish([b.message(0), huge, b.message(2)])
                fail("the message over the limit was accepted")
            except PublishError as error:
                same(sorted(error.refused), [1], "indices refused")
                same(sorted(error.unknown), [], "indices unknown")
            await b.publish([3])

            same(sorted(numbers(await member.receive(3))), [0, 2, 3], "numbers")
            same(numbers(await b.rest(member)), [], "more")

    async def test_an_unusable_topic_is_refused_and_its_neighbours_are_not(
        self, setup: BrokerSetup
    ) -> None:
        """Trap M23."""
        async with bench(setup) as b, b.join() as member:
            for index, topic in enumerate(("", "nul\0nul", "wild/#", "wild/+/card")):
                good = b.message(index)
                try:
                    await b.broker.publish([Message(topic, b"lost"), good])
                    fail(f"topic {topic!r} was accepted")
                except PublishError as error:
                    same(sorted(error.refused), [0], f"refused for topic {topic!r}")

            same(sorted(numbers(await member.receive(4))), [0, 1, 2, 3], "numbers")

    async def test_a_client_that_is_not_open_does_not_publish(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            closed = setup.open()
            for state in ("new", "closed"):
                try:
                    await closed.publish([b.message(0)])
                    fail(f"a {state} client published")
                except BrokerError:
                    pass
                if state == "new":
                    async with closed:
                        pass

    async def test_what_was_accepted_survives_a_restart_of_the_broker(
        self, setup: BrokerSetup
    ) -> None:
        """Trap M13."""
        async with bench(setup) as b:
            need(b.broker.capabilities.durable, "the adapter promises no durability")
            need(setup.restart, "the broker cannot be restarted")
            async with b.join():
                pass
            await b.publish(range(50))
            if setup.restart is not None:
                await setup.restart()

            async with b.join() as member:
                same(sorted(numbers(await member.receive(50))), list(range(50)), "numbers")
