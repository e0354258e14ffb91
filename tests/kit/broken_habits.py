"""Adapters with one bad habit each, and the tests of the contract that must tell."""

# ruff: noqa: D106 -- the class around it says what is wrong with it

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace

from choreo.broker import Capabilities, Listener, Notice, Subscription, TopicFilter
from choreo.errors import BrokerError, PublishError
from choreo.message import Delivery, Message
from choreo_memory import MemoryBroker
from choreo_memory.consumer import MemoryConsumer
from tests.kit.broken_consumers import SERIAL, Keeping
from tests.kit.weather import Humble
from tests.kit.wrapper import WrappedConsumer, Wrapper


class PublishesUnopened(Wrapper):
    """Takes messages although it is not connected."""

    caught_by = ("test_a_client_that_is_not_open_does_not_publish",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        try:
            await self.inner.publish(messages)
        except PublishError:
            raise
        except BrokerError:
            pass


class RefusesNothingToDo(Wrapper):
    """Fails when there is nothing to publish."""

    caught_by = ("test_publishing_nothing_is_allowed",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        if not messages:
            raise PublishError("nothing to publish")
        await self.inner.publish(messages)


class KeepsContentTypes(Wrapper):
    """Takes one header for its own."""

    caught_by = ("test_a_content_type_is_a_header_like_any_other",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        others = [[h for h in m.headers if h[0] != "content-type"] for m in messages]
        await self.inner.publish(
            [replace(m, headers=h) for m, h in zip(messages, others, strict=True)]
        )


class ReadsBodiesAsText(Wrapper):
    """Decodes what is not text."""

    caught_by = ("test_every_byte_of_a_body_arrives",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        texts = [m.body and m.body.decode(errors="ignore").encode() for m in messages]
        await self.inner.publish(
            [replace(m, body=text) for m, text in zip(messages, texts, strict=True)]
        )


class ReadsKeysAsText(Wrapper):
    """Decodes keys, and takes an empty one for none."""

    caught_by = ("test_a_key_of_any_bytes_is_kept",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish([replace(m, key=m.key or None) for m in messages])


class OvertakesItself(Wrapper):
    """Lets every other call be overtaken by the next."""

    caught_by = ("test_order_is_kept_within_a_key_under_concurrency",)
    turn = 0

    async def publish(self, messages: Sequence[Message], /) -> None:
        self.turn += 1
        if self.turn % 2:
            self.slow = asyncio.get_running_loop().create_task(self.later(messages))
        else:
            await self.inner.publish(messages)

    async def later(self, messages: Sequence[Message]) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        with suppress(BrokerError):
            await self.inner.publish(messages)


class RenamesTopics(Wrapper):
    """Hands over under another name."""

    caught_by = ("test_a_message_arrives_as_it_was_published",)

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            return [replace(d, topic=d.topic.upper()) for d in await self.inner.poll(limit)]


class CountsMilliseconds(Wrapper):
    """Tells times in a unit of its own."""

    caught_by = ("test_a_record_time_is_in_seconds",)

    class Member(WrappedConsumer):
        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            got = await self.inner.poll(limit)
            return [replace(d, timestamp=(d.timestamp or 0) * 1000) for d in got]


class SettlesByCount(Wrapper):
    """Settles as many as it is told of, whichever they are."""

    caught_by = ("test_settling_twice_or_nothing_changes_nothing",)

    class Member(Keeping):
        def settle(self, deliveries: Sequence[Delivery], /) -> None:
            self.inner.settle(self.handed[: len(deliveries)])
            del self.handed[: len(deliveries)]


class SettlesWhatItReadAhead(Wrapper):
    """Counts as done what nobody asked for."""

    caught_by = ("test_what_was_never_asked_for_stays_with_the_broker",)

    class Member(WrappedConsumer):
        async def leaving(self) -> None:
            async with asyncio.timeout(0.05):
                self.inner.settle(await self.inner.poll(1000))


class GivesUpTheIdle(Wrapper):
    """Takes the streams from a member that does not poll (K12)."""

    caught_by = ("test_a_member_that_does_not_poll_stays_a_member",)

    class Member(WrappedConsumer):
        timer: asyncio.TimerHandle | None = None

        async def poll(self, limit: int, /) -> Sequence[Delivery]:
            if self.timer is not None:
                self.timer.cancel()
            got = await self.inner.poll(limit)
            assert isinstance(self.inner, MemoryConsumer)
            self.timer = asyncio.get_running_loop().call_later(0.05, self.inner.lose)
            return got


class ForgetsTheIdle(Wrapper):
    """Lets a group begin anew that has not settled anything yet (K24)."""

    caught_by = ("test_a_group_that_never_received_anything_resumes_too",)

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, group=f"{subscription.group}-{next(SERIAL)}")


class HauntsItsGroup(Wrapper):
    """Holds its streams after its death."""

    caught_by = ("test_a_member_that_dies_is_taken_over_from",)

    def crash(self) -> None:
        """Die, and let nobody notice."""
        self.crashed = True

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[WrappedConsumer]:
        joined = self.inner.subscribe(subscription, listener)
        yield WrappedConsumer(await joined.__aenter__())
        if self.crashed:
            url = self.inner.url + "?max_message_bytes=1500000"
            self.inner = self.memory = MemoryBroker(url)
            GHOSTS.append(joined)
        else:
            await joined.__aexit__(None, None, None)


GHOSTS: list[object] = []


class CriesWolf(Wrapper):
    """Raises an alarm for nothing."""

    caught_by = ("test_an_ordinary_run_raises_no_alarm",)

    def ear(self, listener: Listener) -> Listener:
        listener.notice(Notice(kind="gap", text="perhaps", missing=1))
        return listener


class StopsFollowing(Wrapper):
    """Ends where it should go on."""

    caught_by = ("test_browsing_can_go_on_with_what_comes",)

    def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self.inner.browse(topic, follow=follow and False)


class ChangesItsMind(Wrapper):
    """Can do less once it is open."""

    caught_by = ("test_capabilities_are_known_before_opening",)

    @property
    def capabilities(self) -> Capabilities:
        able = self.inner.capabilities
        return replace(able, durable=self.memory._state == "open")


class InsistsOnKeylessness(Humble):
    """Refuses a message for its key."""

    caught_by = ("test_a_key_stays_behind_where_there_are_none",)

    def unfit(self, message: Message) -> bool:
        """Refuse keys, too."""
        return super().unfit(message) or message.key is not None


class BrowsesUnasked(Humble):
    """Reads past messages although it says that it cannot."""

    caught_by = ("test_browsing_is_refused_where_nothing_is_kept",)

    def browse(  # type: ignore[override]  # less refused than declared: that is what is wrong
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self.inner.browse(topic, follow=follow)
