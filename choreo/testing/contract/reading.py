"""Where reading begins, and what can be read besides the group's share."""

# ruff: noqa: PLR2004 -- numbers in a test are its data

from choreo.broker import Subscription, TopicFilter
from choreo.errors import ConfigurationError
from choreo.message import Delivery, Message
from choreo.testing.contract.bench import (
    Recorder,
    bench,
    fail,
    in_key_order,
    need,
    numbers,
    same,
)
from choreo.testing.contract.setup import BrokerSetup


class Reading:
    """Start, resumption, browsing, kept values, topic levels."""

    async def test_a_new_group_can_begin_with_what_was_published_before(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b:
            need(b.broker.capabilities.browsable, "the broker keeps nothing for later readers")
            await b.publish(range(20))

            async with b.join(start="earliest") as member:
                await b.publish(range(20, 40))
                got = await member.receive(40)

        same(sorted(numbers(got)), list(range(40)), "numbers")
        in_key_order(got, keys=b.keys)

    async def test_a_new_group_can_begin_with_what_is_published_from_now_on(
        self, setup: BrokerSetup
    ) -> None:
        """Trap K24: all that is published after entering comes, nothing from before."""
        async with bench(setup) as b:
            await b.publish(range(20))

            async with b.join(start="latest") as member:
                await b.publish(range(20, 40))
                got = await b.rest(member)

        same(sorted(numbers(got)), list(range(20, 40)), "numbers")

    async def test_a_group_resumes_where_it_was_whatever_its_start_says(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K24, M8."""
        async with bench(setup) as b:
            need(b.broker.capabilities.resumes, "the adapter promises no resumption")
            async with b.join(start="latest") as member:
                await b.publish(range(10))
                got = await member.receive(10)
                member.consumer.settle(got)
            await b.publish(range(10, 30))

            async with b.join(start="latest") as member:
                same(sorted(numbers(await b.rest(member))), list(range(10, 30)), "numbers")

    async def test_a_group_that_never_received_anything_resumes_too(
        self, setup: BrokerSetup
    ) -> None:
        """Trap K24: the start is decided when the group first subscribes, once."""
        async with bench(setup) as b:
            need(b.broker.capabilities.resumes, "the adapter promises no resumption")
            async with b.join(start="latest"):
                pass
            await b.publish(range(20))

            async with b.join(start="latest") as member:
                same(sorted(numbers(await b.rest(member))), list(range(20)), "numbers")

    async def test_what_was_deleted_unread_is_told_as_a_gap_and_reading_goes_on(
        self, setup: BrokerSetup
    ) -> None:
        """Trap K24."""
        async with bench(setup) as b:
            need(setup.expire, "records cannot be deleted")
            async with b.join() as member:
                await b.publish(range(20), key=b"one key")
                member.consumer.settle(await member.receive(5))
            if setup.expire is not None:
                await setup.expire(b.topic)
            await b.publish(range(20, 30), key=b"one key")

            async with b.join() as member:
                got = numbers(await b.rest(member))
                gaps = [n.missing for n in member.recorder.notices if n.kind == "gap"]

        same(got, list(range(20, 30)), "numbers")
        same(gaps, [15], "records told to be missing")

    async def test_browsing_reads_a_topic_from_its_beginning_to_its_end(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b:
            need(b.broker.capabilities.browsable, "tested as refused")
            await b.publish(range(30))
            async with b.join() as member:
                member.consumer.settle(await member.receive(15))

                for _ in range(2):
                    async with b.broker.browse(TopicFilter(b.topic)) as reading:
                        got = [delivery async for delivery in reading]
                    same(sorted(numbers(got)), list(range(30)), "browsed")
                    in_key_order(got, keys=b.keys)

                same(
                    len(await b.rest(member)), 15, "left for the group, which browsing leaves alone"
                )

    async def test_browsing_an_empty_topic_ends_at_once(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            need(b.broker.capabilities.browsable, "tested as refused")
            async with b.broker.browse(TopicFilter(b.topic)) as reading:
                same([delivery async for delivery in reading], [], "browsed")

    async def test_browsing_can_go_on_with_what_comes(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            need(b.broker.capabilities.browsable, "tested as refused")
            await b.publish(range(10))
            got: list[Delivery] = []
            async with b.broker.browse(TopicFilter(b.topic), follow=True) as reading:
                async for delivery in reading:
                    got.append(delivery)
                    if len(got) in {10, 13}:
                        await b.publish(range(len(got), len(got) + (3 if len(got) == 10 else 2)))
                    if len(got) == 15:
                        break

        same(sorted(numbers(got)), list(range(15)), "browsed")

    async def test_browsing_reads_kept_values_where_nothing_else_is_kept(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b:
            capabilities = b.broker.capabilities
            need(capabilities.retained and not capabilities.browsable, "more or nothing is kept")
            for body, retain in ((b"1", True), (b"2", True), (b"3", False)):
                await b.broker.publish([Message(b.topic, body, retain=retain)])

            async with b.broker.browse(TopicFilter(b.topic, retained=True)) as reading:
                got = [(delivery.body, delivery.retain) async for delivery in reading]

        same(got, [(b"2", True)], "browsed")

    async def test_browsing_is_refused_where_nothing_is_kept(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            capabilities = b.broker.capabilities
            need(not capabilities.browsable and not capabilities.retained, "something is kept")
            try:
                async with b.broker.browse(TopicFilter(b.topic)):
                    fail("browsed where nothing can be read again")
            except ConfigurationError:
                pass

    async def test_a_kept_value_comes_to_those_who_ask_for_it(self, setup: BrokerSetup) -> None:
        """Trap M21."""
        async with bench(setup) as b:
            need(b.broker.capabilities.retained, "tested as refused")
            for body in (b"old", b"kept"):
                await b.broker.publish([Message(b.topic, body, retain=True)])

            for asked in (True, False):
                async with b.join(
                    group=setup.name(), topics=[TopicFilter(b.topic, retained=asked)]
                ) as member:
                    await b.broker.publish([Message(b.topic, b"new")])
                    got = await member.receive(2 if asked else 1)
                came = [(delivery.body, delivery.retain) for delivery in got]
                expected = [(b"kept", True), (b"new", False)]
                same(came, expected if asked else expected[1:], f"with retained={asked}")

    async def test_a_subscription_to_what_is_not_declared_is_refused(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b:
            capabilities = b.broker.capabilities
            undeclared: list[TopicFilter] = []
            if not capabilities.retained:
                undeclared.append(TopicFilter(b.topic, retained=True))
            if not capabilities.topic_levels:
                undeclared.append(TopicFilter(f"{b.topic}/+/level"))
            for topic in undeclared:
                subscription = Subscription(group=b.group, topics=(topic,))
                try:
                    async with b.broker.subscribe(subscription, Recorder()):
                        fail(f"subscribed to {topic}")
                except ConfigurationError:
                    pass

    async def test_a_wildcard_takes_one_level(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            need(b.broker.capabilities.topic_levels, "tested as refused")
            root = b.topic
            async with b.join(topics=[TopicFilter(f"{root}/+/heat")]) as member:
                names = ("a/heat", "a/b/heat", "a/cold", "b/heat", "heat")
                await b.broker.publish([Message(f"{root}/{name}", b"1") for name in names])
                got = await member.receive(2)

        same([d.topic for d in got], [f"{root}/a/heat", f"{root}/b/heat"], "topics")
