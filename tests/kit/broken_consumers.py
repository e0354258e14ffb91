"""Consumers that are each wrong in one way, and the tests of the contract that must tell."""

# ruff: noqa: D106 -- the class around it says what is wrong with it

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count

from choreo.broker import Consumer, Listener, Notice, Progress, Subscription
from choreo.message import Delivery
from tests.kit.wrapper import WrappedConsumer, Wrapper

SERIAL = count(1)
TASKS: list[asyncio.Task[None]] = []


class AckFirst(Wrapper):
    """Settles what it hands over, before it is handled."""

    caught_by = (
        "test_a_crash_repeats_what_was_not_settled_and_nothing_that_was_flushed",
        "test_leaving_gives_back_what_was_not_settled",
        "test_settling_in_any_order_never_passes_an_unsettled_delivery",
    )

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            got = await self.inner.poll(limit)
            self.inner.settle(got)
            return got


class Keeping(WrappedConsumer):
    """A consumer that remembers what it handed over and what of that was settled."""

    def __init__(self, inner: Consumer) -> None:
        super().__init__(inner)
        self.handed: list[Delivery] = []
        self.done: list[Delivery] = []

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        got = await self.inner.poll(limit)
        self.handed.extend(got)
        return got


class CommitMax(Wrapper):
    """Settles everything below what is settled."""

    caught_by = (
        "test_settling_in_any_order_never_passes_an_unsettled_delivery",
        "test_leaving_gives_back_what_was_not_settled",
    )

    class Member(Keeping):
        def settle(self, deliveries: Sequence[Delivery], /) -> None:
            for done in deliveries:
                self.inner.settle(
                    [
                        d
                        for d in self.handed
                        if (d.stream, d.position) <= (done.stream, done.position)
                    ]
                )


class DropOnRevoke(Wrapper):
    """Gives streams away as if all that was handed over had been done."""

    caught_by = (
        "test_leaving_gives_back_what_was_not_settled",
        "test_a_member_that_leaves_is_taken_over_from",
    )

    class Member(Keeping):
        async def leaving(self) -> None:
            self.inner.settle(self.handed)


class NeverSettles(Wrapper):
    """Forgets every settlement."""

    caught_by = (
        "test_leaving_with_everything_settled_repeats_nothing",
        "test_a_crash_repeats_what_was_not_settled_and_nothing_that_was_flushed",
        "test_a_stream_rests_while_its_oldest_delivery_is_unsettled",
        "test_members_that_come_and_go_under_load_lose_and_repeat_nothing",
    )

    class Member(WrappedConsumer):
        def settle(self, deliveries: Sequence[Delivery], /) -> None:
            pass


class LosesUnflushed(Wrapper):
    """Keeps settlements for the next flush, and leaves without one."""

    caught_by = (
        "test_leaving_with_everything_settled_repeats_nothing",
        "test_settling_after_the_intake_was_stopped_counts",
    )

    class Member(Keeping):
        def settle(self, deliveries: Sequence[Delivery], /) -> None:
            self.done.extend(deliveries)

        async def flush(self) -> None:
            self.inner.settle(self.done)


class SettlesOldEpochs(Wrapper):
    """Takes a settlement of an earlier assignment for one of the present."""

    caught_by = ("test_settling_a_delivery_of_an_older_assignment_changes_nothing",)

    class Member(Keeping):
        def settle(self, deliveries: Sequence[Delivery], /) -> None:
            self.inner.settle([replace(d, epoch=self.handed[-1].epoch) for d in deliveries])


class NeverSettlesAbove(Wrapper):
    """Remembers nothing above the oldest unsettled delivery, though it says it does."""

    caught_by = (
        "test_leaving_gives_back_what_was_not_settled",
        "test_settling_in_any_order_never_passes_an_unsettled_delivery",
    )

    class Member(Keeping):
        def settle(self, deliveries: Sequence[Delivery], /) -> None:
            self.done.extend(deliveries)
            for stream in sorted({d.stream for d in deliveries}):
                for delivery in [d for d in self.handed if d.stream == stream]:
                    if delivery not in self.done:
                        break
                    self.inner.settle([delivery])


class Reorders(Wrapper):
    """Hands a batch over back to front."""

    caught_by = (
        "test_order_is_kept_within_one_call",
        "test_a_stream_is_handed_over_in_the_order_of_its_positions",
        "test_members_that_die_under_load_lose_nothing",
    )

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            return list(reversed(await self.inner.poll(limit)))


class LosesCancelledPolls(Wrapper):
    """Takes deliveries before the last moment at which it can be cancelled (K14)."""

    caught_by = ("test_cancelling_a_poll_loses_nothing",)

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            got = await self.inner.poll(limit)
            await asyncio.sleep(0)
            return got


class Pushes(Wrapper):
    """Hands over more than was asked for."""

    caught_by = ("test_a_poll_hands_over_at_most_what_was_asked_for",)

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            return await self.inner.poll(limit + 1)


class Repeats(Wrapper):
    """Hands every delivery over twice."""

    caught_by = (
        "test_order_is_kept_within_one_call",
        "test_members_of_a_group_share_its_streams_and_nothing_comes_twice",
    )

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            got = await self.inner.poll(max(1, limit // 2))
            return [*got, *got][:limit]


class Hoards(Wrapper):
    """Reads ahead as far as there is anything."""

    caught_by = ("test_a_consumer_that_does_not_poll_holds_no_more_than_its_read_ahead",)

    class Member(WrappedConsumer):
        def __init__(self, inner: Consumer) -> None:
            super().__init__(inner)
            self.hoard: list[Delivery] = []
            self.came = asyncio.Event()
            self.reading = asyncio.get_running_loop().create_task(self.read())

        async def read(self) -> None:
            while got := await self.inner.poll(1000):
                copies = [bytes(bytearray(d.body or b"")) for d in got]
                self.hoard += [replace(d, body=c) for d, c in zip(got, copies, strict=True)]
                self.came.set()

        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            while not self.hoard:
                self.came.clear()
                await self.came.wait()
            got = self.hoard[:limit]
            del self.hoard[:limit]
            return got

        async def leaving(self) -> None:
            self.reading.cancel()
            await asyncio.wait([self.reading])


class IgnoresMaxSpan(Wrapper):
    """Goes on handing over, however old the oldest unsettled delivery is."""

    caught_by = (
        "test_a_stream_rests_while_its_oldest_delivery_is_unsettled",
        "test_a_stuck_stream_does_not_stop_the_others",
    )

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, max_span=1_000_000)


class StopsForOne(Wrapper):
    """Lets all streams rest when one must."""

    caught_by = ("test_a_stuck_stream_does_not_stop_the_others",)

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            while any(p.handed - p.settled >= 8 for p in self.inner.progress()):
                await asyncio.sleep(0.001)
            return await self.inner.poll(limit)


class NeverStops(Wrapper):
    """Takes in although the intake was stopped."""

    caught_by = ("test_stopping_the_intake_ends_a_waiting_poll",)

    class Member(WrappedConsumer):
        def stop_intake(self) -> None:
            pass


class LiesAboutProgress(Wrapper):
    """Tells what was handed over as what was settled."""

    caught_by = ("test_progress_tells_what_is_settled_and_what_was_handed_over",)

    class Member(WrappedConsumer):
        def progress(self) -> Sequence[Progress]:
            return [replace(p, settled=p.handed) for p in self.inner.progress()]


@dataclass(frozen=True)
class Deaf:
    """A listener between, that does not tell its owner to finish, or does not wait for it."""

    owner: Listener
    tell: bool

    async def revoking(self, streams: Collection[str], /) -> None:
        if self.tell:
            revoking = self.owner.revoking(streams)
            TASKS.append(asyncio.get_running_loop().create_task(_run(revoking)))

    def notice(self, notice: Notice, /) -> None:
        self.owner.notice(notice)


async def _run(revoking: object) -> None:
    if asyncio.iscoroutine(revoking):
        await revoking


class TellsNobody(Wrapper):
    """Takes streams away without a word."""

    caught_by = ("test_a_stream_passes_on_only_when_its_owner_has_finished",)

    def ear(self, listener: Listener) -> Listener:
        return Deaf(listener, tell=False)


class WaitsForNobody(Wrapper):
    """Tells that streams are revoked, and takes them at once."""

    caught_by = ("test_a_stream_passes_on_only_when_its_owner_has_finished",)

    def ear(self, listener: Listener) -> Listener:
        return Deaf(listener, tell=True)


class WaitsForEver(Wrapper):
    """Lets an owner that never finishes keep its streams."""

    caught_by = ("test_an_owner_that_does_not_finish_in_time_is_fenced",)

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, drain=subscription.drain * 1000)


class DeliversToBoth(Wrapper):
    """Makes every member a group of its own."""

    caught_by = (
        "test_members_of_a_group_share_its_streams_and_nothing_comes_twice",
        "test_leaving_with_everything_settled_repeats_nothing",
        "test_a_group_resumes_where_it_was_whatever_its_start_says",
    )

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, group=f"{subscription.group}-{next(SERIAL)}")


class OneGroupForAll(Wrapper):
    """Takes all groups for one."""

    caught_by = ("test_every_group_gets_everything",)

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, group="all")


class AlwaysLatest(Wrapper):
    """Skips what was published before the group came."""

    caught_by = ("test_a_new_group_can_begin_with_what_was_published_before",)

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, start="latest")


class AlwaysEarliest(Wrapper):
    """Hands over what was published before the group came."""

    caught_by = ("test_a_new_group_can_begin_with_what_is_published_from_now_on",)

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, start="earliest")
