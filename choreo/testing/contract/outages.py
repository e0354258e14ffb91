"""The broker goes away and comes back: at publish, at subscribe, at settle, at close."""

# ruff: noqa: PLR2004 -- numbers in a test are its data

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial

from choreo.errors import BrokerError, ConnectionLost, PublishError
from choreo.message import Delivery
from choreo.testing.contract.bench import (
    Bench,
    Member,
    bench,
    check,
    fail,
    need,
    numbers,
    same,
    soon,
    within,
)
from choreo.testing.contract.setup import BrokerSetup


class Outages:
    """Nothing accepted is lost, nothing hangs for ever, and all goes on without help."""

    async def test_publishing_without_a_broker_fails_and_works_again_afterwards(
        self, setup: BrokerSetup
    ) -> None:
        """Traps P2, P3, M15, M18."""
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(10))
            async with _outage(setup):
                accepted = await _accepted(b, setup, range(10, 20))
                check(not accepted, f"accepted without a broker: {accepted}")
            accepted = await _insist(b, range(20, 30))

            got = set(numbers(await b.rest(member)))
        check(set(range(10)) | accepted <= got, f"accepted, and lost: {accepted - got}")
        check(got <= set(range(30)), f"never published: {got - set(range(30))}")

    async def test_a_consumer_outlives_an_outage(self, setup: BrokerSetup) -> None:
        """Trap M3: what was not settled before or during it comes again, whatever was."""
        async with bench(setup) as b:
            async with b.join() as member:
                await b.publish(range(20))
                got = await member.receive(20)
                async with _outage(setup):
                    member.consumer.settle([d for d in got if int(d.body or b"") < 10])
                    await asyncio.sleep(setup.quiet)
                await _insist(b, range(20, 40))
                seen = await member.collect(
                    lambda more: len(set(range(20, 40)) - set(numbers(more))), "what came later"
                )
                check(set(numbers(seen)) <= set(range(40)), "deliveries are those published")
                await within(setup.patience, member.consumer.flush(), "flush")

            async with b.join() as heir:
                returned = set(numbers(await b.rest(heir)))
        check(set(range(10, 40)) <= returned, f"lost: {set(range(10, 40)) - returned}")

    async def test_an_outage_is_told_and_so_is_its_end(self, setup: BrokerSetup) -> None:
        """Else nobody knows a broker that is away from one that has nothing."""
        async with bench(setup) as b, b.join() as member:
            need(b.broker.capabilities.tells_outages, "it does not tell of outages")
            for count in (1, 2):
                async with _outage(setup):
                    await _told(member, 2 * count - 1)
                await _told(member, 2 * count)
                wanted = range(10 * count, 10 * count + 5)
                await _insist(b, wanted)
                await member.collect(partial(_lacking, wanted), "what came later")
            same(_changes(member), ["connection_lost", "reconnected"] * 2, "what was told")

    async def test_settling_across_a_reconnection_settles_nothing_else(
        self, setup: BrokerSetup
    ) -> None:
        """Trap M3: acknowledgements of a dead connection must not reach the next one."""
        async with bench(setup) as b:
            async with b.join() as member:
                await b.publish(range(10))
                old = await member.receive(10)
                async with _outage(setup):
                    await asyncio.sleep(setup.quiet)
                await _insist(b, range(10, 20))
                await member.collect(
                    lambda more: len(set(range(10, 20)) - set(numbers(more))), "what came later"
                )
                member.consumer.settle(old)
                await within(setup.patience, member.consumer.flush(), "flush")
                await b.crash(member)

            async with b.join() as heir:
                returned = set(numbers(await b.rest(heir)))
        check(set(range(10, 20)) <= returned, f"settled unasked: {set(range(10, 20)) - returned}")

    async def test_opening_without_a_broker_says_so(self, setup: BrokerSetup) -> None:
        async with _outage(setup):
            try:
                async with asyncio.timeout(setup.patience), setup.open():
                    fail("opened without a broker")
            except ConnectionLost:
                pass

    async def test_a_subscription_begun_without_a_broker_works_or_says_so(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b, AsyncExitStack() as stack:
            client = await stack.enter_async_context(setup.open())
            del client  # only shows that a client which was connected once is no help
            async with _outage(setup):
                try:
                    async with asyncio.timeout(setup.patience):
                        await stack.enter_async_context(b.join())
                except (BrokerError, TimeoutError):
                    pass
            await stack.aclose()

            async with b.join() as member:
                await _insist(b, range(10))
                same(sorted(set(numbers(await b.rest(member)))), list(range(10)), "numbers")

    async def test_leaving_without_a_broker_is_bounded(self, setup: BrokerSetup) -> None:
        """Traps K20, M26."""
        async with bench(setup) as b, AsyncExitStack() as stack:
            member = await stack.enter_async_context(b.join())
            await b.publish(range(20))
            member.consumer.settle((await member.receive(20))[5:])
            async with _outage(setup):
                await within(setup.patience, stack.aclose(), "leaving")

            async with b.join() as heir:
                returned = set(numbers(await b.rest(heir)))
        check(set(range(20)) >= returned, f"never published: {returned}")

    async def test_a_consumer_outlives_a_restart_of_the_broker(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            need(setup.restart, "the broker cannot be restarted")
            async with b.join() as member:
                await b.publish(range(10))
                member.consumer.settle(await member.receive(10))
                await within(setup.patience, member.consumer.flush(), "flush")
                if setup.restart is not None:
                    await setup.restart()
                accepted = await _insist(b, range(10, 20))
                await member.collect(
                    lambda got: len(accepted - set(numbers(got))), "what came later"
                )


def _changes(member: Member) -> list[str]:
    kinds = [notice.kind for notice in member.recorder.notices]
    return [kind for kind in kinds if kind in {"connection_lost", "reconnected"}]


async def _told(member: Member, count: int) -> None:
    what = f"change {count} of the connection"
    await soon(member.patience, lambda: len(_changes(member)) >= count, what)


def _lacking(wanted: Iterable[int], got: list[Delivery]) -> int:
    return len(set(wanted) - set(numbers(got)))


def _outage(setup: BrokerSetup) -> AbstractAsyncContextManager[None]:
    need(setup.outage, "the broker cannot be cut off")
    if setup.outage is None:
        raise AssertionError
    return setup.outage()


async def _accepted(b: Bench, setup: BrokerSetup, wanted: Iterable[int]) -> set[int]:
    """Try to publish each of *wanted* once; say which were accepted."""
    accepted: set[int] = set()
    for number in wanted:
        try:
            async with asyncio.timeout(setup.patience):
                await b.publish([number])
            accepted.add(number)
        except PublishError as error:
            same(set(error.refused) | set(error.unknown), {0}, "indices refused or unknown")
            break
        except ConnectionLost:
            break
    return accepted


async def _insist(b: Bench, wanted: Iterable[int]) -> set[int]:
    """Publish *wanted*, each again and again until it is accepted."""
    accepted: set[int] = set()
    try:
        async with asyncio.timeout(b.setup.patience):
            for number in wanted:
                while number not in accepted:
                    accepted |= await _accepted(b, b.setup, [number])
                    await asyncio.sleep(0 if number in accepted else 0.05)
    except TimeoutError:
        raise AssertionError(f"still not accepted after {b.setup.patience} s: {wanted}") from None
    return accepted
