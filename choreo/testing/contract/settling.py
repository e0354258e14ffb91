"""What is settled does not come again; what is not, does: repeated if need be, never lost."""

# ruff: noqa: PLR2004 -- numbers in a test are its data

from choreo.message import Delivery
from choreo.testing.contract.bench import (
    Bench,
    Member,
    bench,
    check,
    in_key_order,
    need,
    numbers,
    same,
    soon,
)
from choreo.testing.contract.setup import BrokerSetup


class Settling:
    """The watermark, seen from outside."""

    async def test_settling_in_any_order_never_passes_an_unsettled_delivery(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K1, M4."""
        async with bench(setup) as b:
            async with b.join() as first:
                await b.publish(range(60))
                got = await first.receive(60)
                unsettled = {3, 17, 18, 40}
                for delivery in sorted(got, key=lambda d: -int(d.body or b"")):
                    if int(delivery.body or b"") not in unsettled:
                        first.consumer.settle([delivery])
                await first.consumer.flush()
                await b.crash(first)

            await _returns(b, got, unsettled)

    async def test_a_crash_repeats_what_was_not_settled_and_nothing_that_was_flushed(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K1, M1, P7."""
        need(setup.crash, "clients cannot be killed")
        async with bench(setup) as b:
            async with b.join() as first:
                await b.publish(range(20))
                flushed = await first.receive(20)
                first.consumer.settle(flushed)
                await first.consumer.flush()
                await b.publish(range(20, 40))
                settled = await first.receive(20)
                first.consumer.settle(settled)
                await b.publish(range(40, 60))
                await first.receive(20)
                await b.publish(range(60, 80))
                await b.crash(first)

            async with b.join() as second:
                got = await b.rest(second)

        returned = numbers(got)
        same(len(returned), len(set(returned)), "returned once each")
        check(set(range(40, 80)) <= set(returned), f"lost in a crash: came {returned}")
        check(min(returned) >= 20, f"flushed, and yet came again: {returned}")
        in_key_order(got, keys=b.keys)

    async def test_leaving_with_everything_settled_repeats_nothing(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b:
            for round_ in range(3):
                async with b.join() as member:
                    await b.publish(range(round_ * 40, round_ * 40 + 40))
                    got = await member.receive(40)
                    same(min(numbers(got)), round_ * 40, "first number")
                    member.consumer.settle(got)

            async with b.join() as last:
                same(numbers(await b.rest(last)), [], "came again")

    async def test_leaving_gives_back_what_was_not_settled(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            async with b.join() as first:
                await b.publish(range(60))
                got = await first.receive(60)
                unsettled = set(range(1, 60, 7))
                first.consumer.settle([d for d in got if int(d.body or b"") not in unsettled])

            await _returns(b, got, unsettled)

    async def test_what_was_never_asked_for_stays_with_the_broker(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            async with b.join() as first:
                await b.publish(range(100))
                got = await first.receive(5)
                first.consumer.settle(got)

            async with b.join() as second:
                returned = numbers(await b.rest(second))
        same(sorted(returned), sorted(set(range(100)) - set(numbers(got))), "what was left")

    async def test_settling_twice_or_nothing_changes_nothing(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            async with b.join() as first:
                await b.publish(range(20))
                got = await first.receive(20)
                first.consumer.settle([])
                for _ in range(2):
                    first.consumer.settle(got[:10])
                    first.consumer.settle(list(reversed(got[:10])))
                await first.consumer.flush()
                await first.consumer.flush()

            await _returns(b, got, set(numbers(got[10:])))

    async def test_settling_after_the_intake_was_stopped_counts(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            async with b.join() as first:
                await b.publish(range(20))
                got = await first.receive(20)
                first.consumer.stop_intake()
                first.consumer.settle(got)

            async with b.join() as second:
                same(numbers(await b.rest(second)), [], "came again")

    async def test_settling_a_delivery_of_an_older_assignment_changes_nothing(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K5, K10."""
        async with bench(setup) as b:
            need(b.broker.capabilities.groups, "streams are never reassigned")
            async with b.join() as first:
                await b.publish(range(32))
                old = await first.receive(32)
                async with b.join():
                    await soon(setup.patience, lambda: first.recorder.revoked, "revocation")
                again = await _until_all_came(first, 32)
                fresh = {delivery.epoch for delivery in again}
                check(old[0].epoch not in fresh, f"epoch {old[0].epoch} was used again")
                first.consumer.settle(old)
                await first.consumer.flush()
                await b.crash(first)

            async with b.join() as second:
                returned = numbers(await b.rest(second))
        same(sorted(returned), list(range(32)), "what an old settlement must not settle")

    async def test_progress_tells_what_is_settled_and_what_was_handed_over(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b, b.join() as member:
            await b.publish(range(12), key=b"one key")
            got = await member.receive(8)
            first, stream = got[0].position, got[0].stream

            member.consumer.settle(got[1:])
            _stands(member, stream, settled=first, handed=got[-1].position + 1)
            member.consumer.settle(got[:1])
            _stands(member, stream, settled=got[-1].position + 1, handed=got[-1].position + 1)


def _stands(member: Member, stream: str, *, settled: int, handed: int) -> None:
    (progress,) = [p for p in member.consumer.progress() if p.stream == stream]
    same((progress.settled, progress.handed), (settled, handed), "settled and handed over")
    check(progress.end is None or progress.end >= handed, f"ends before what it handed: {progress}")


async def _until_all_came(member: Member, count: int) -> list[Delivery]:
    return await member.collect(
        lambda got: count - len(set(numbers(got))), f"all {count} deliveries again"
    )


async def _returns(b: Bench, got: list[Delivery], unsettled: set[int]) -> None:
    """Fail unless the group's next member is handed *unsettled* ones of *got*, and few others."""
    async with b.join() as second:
        again = await b.rest(second)
    returned = numbers(again)
    same(len(returned), len(set(returned)), "returned once each")
    check(unsettled <= set(returned), f"lost: {sorted(unsettled - set(returned))}")
    excess = set(returned) - b.may_return(got, unsettled)
    check(not excess, f"settled, and yet came again: {sorted(excess)}")
    in_key_order(again, keys=b.keys)
