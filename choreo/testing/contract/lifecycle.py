"""Opening tells the truth; closing is bounded, complete and harmless to repeat."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from choreo.broker import TopicSpec
from choreo.errors import ConfigurationError, ConnectionLost
from choreo.testing.contract.bench import bench, check, fail, need, numbers, same, within
from choreo.testing.contract.setup import BrokerSetup


class Lifecycle:
    """From the constructor to the last exit."""

    async def test_capabilities_are_known_before_opening(self, setup: BrokerSetup) -> None:
        broker = setup.open()
        before = broker.capabilities

        async with broker:
            same(broker.capabilities, before, "capabilities")
        same(broker.capabilities, before, "capabilities after closing")

    async def test_the_url_holds_no_secret(self, setup: BrokerSetup) -> None:
        parts = urlsplit(setup.open().url)

        check(parts.scheme, "the URL has no scheme")
        same((parts.username, parts.password), (None, None), "credentials in the URL")

    async def test_opening_where_nobody_listens_says_so(self, setup: BrokerSetup) -> None:
        need(setup.unreachable, "there is no address without a broker")
        broker = setup.unreachable() if setup.unreachable else setup.open()

        async def attempt() -> None:
            try:
                async with broker:
                    fail("opened without a broker")
            except ConnectionLost:
                pass

        await within(setup.patience, attempt(), "ConnectionLost")

    async def test_closing_twice_is_harmless(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            broker = setup.open()
            async with broker:
                await broker.publish([b.message(0)])
            await within(setup.patience, broker.__aexit__(None, None, None), "the second close")

    async def test_closing_ends_a_waiting_poll(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, AsyncExitStack() as stack:
            member = await stack.enter_async_context(b.join())
            polling = asyncio.ensure_future(member.consumer.poll(10))
            await asyncio.sleep(0.01)

            await within(setup.patience, stack.aclose(), "leaving")

            await within(setup.patience, asyncio.wait([polling]), "the poll to end")
            check(polling.cancelled() or polling.exception() or not polling.result(), "handed over")

    async def test_closing_with_unsettled_work_is_bounded(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, AsyncExitStack() as stack:
            member = await stack.enter_async_context(b.join())
            await b.publish(range(50))
            await member.receive(25)

            await within(setup.patience, stack.aclose(), "leaving")

    async def test_leaving_leaves_no_task_behind(self, setup: BrokerSetup) -> None:
        before = asyncio.all_tasks()
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(10))
            member.consumer.settle(await member.receive(10))

        left = asyncio.all_tasks() - before
        check(not left, f"tasks left behind: {sorted(task.get_name() for task in left)}")

    async def test_an_ordinary_run_raises_no_alarm(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(10))
            member.consumer.settle(await member.receive(10))
            same(numbers(await b.rest(member)), [], "came again")

        alarms = [n for n in member.recorder.notices if n.kind not in {"assigned", "revoked"}]
        same(alarms, [], "notices")

    async def test_topics_are_made_as_asked_and_checked_thereafter(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K25, K33."""
        async with bench(setup) as b:
            need(not b.broker.capabilities.topic_levels, "the broker has no topics to prepare")
            name = setup.name()
            await b.broker.prepare([TopicSpec(name=name, partitions=3, create=True)])

            for partitions in (3, None):
                await b.broker.prepare([TopicSpec(name=name, partitions=partitions, create=True)])
                await b.broker.prepare([TopicSpec(name=name, partitions=partitions)])
            for create in (True, False):
                try:
                    await b.broker.prepare([TopicSpec(name=name, partitions=5, create=create)])
                    fail("3 partitions passed for 5")
                except ConfigurationError as error:
                    check(name in str(error), f"{name} is not named in: {error}")

    async def test_every_missing_topic_is_named(self, setup: BrokerSetup) -> None:
        """Trap K33."""
        async with bench(setup) as b:
            need(not b.broker.capabilities.topic_levels, "the broker has no topics to prepare")
            missing = [setup.name(), setup.name()]
            specs = [TopicSpec(name=name) for name in missing]
            try:
                await b.broker.prepare([*specs, TopicSpec(name=b.topic)])
                fail("missing topics passed")
            except ConfigurationError as error:
                check(all(name in str(error) for name in missing), f"not all named: {error}")
                check(b.topic not in str(error), f"{b.topic} exists, and is named: {error}")
