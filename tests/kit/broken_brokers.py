"""Brokers that are each wrong in one way outside their consumers, and the tests that must tell."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace

from choreo.broker import Subscription, TopicFilter, TopicSpec
from choreo.errors import ConfigurationError, PublishError
from choreo.message import Delivery, Message
from tests.kit.wrapper import Wrapper


def resend(message: Message, **changes: object) -> Message:
    """Copy *message* with *changes*."""
    return replace(message, **changes)  # type: ignore[arg-type]  # the mutants below know the fields


class SwallowsRepeatedHeaders(Wrapper):
    """Keeps one header of each name."""

    caught_by = ("test_headers_keep_their_order_their_repeats_and_their_text",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        once = [resend(m, headers=tuple(dict(m.headers).items())) for m in messages]
        await self.inner.publish(once)


class SortsHeaders(Wrapper):
    """Puts headers into an order of its own."""

    caught_by = ("test_headers_keep_their_order_their_repeats_and_their_text",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        tidy = [resend(m, headers=sorted(m.headers, key=lambda h: h[0])) for m in messages]
        await self.inner.publish(tidy)


class TextHeadersOnly(Wrapper):
    """Replaces bytes that are no text."""

    caught_by = ("test_a_binary_header_is_kept_or_refused",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        def text(value: bytes | None) -> bytes | None:
            return value and value.decode(errors="replace").encode()

        await self.inner.publish(
            [resend(m, headers=[(n, text(v)) for n, v in m.headers]) for m in messages]
        )


class DropsAbsentHeaders(Wrapper):
    """Leaves out headers without a value."""

    caught_by = ("test_an_absent_header_value_is_kept_or_refused",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish(
            [resend(m, headers=[h for h in m.headers if h[1] is not None]) for m in messages]
        )


class FillsTombstones(Wrapper):
    """Makes an absent body an empty one."""

    caught_by = ("test_an_absent_body_is_kept_apart_from_an_empty_one_or_refused",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish([resend(m, body=m.body or b"") for m in messages])


class DropsTombstones(Wrapper):
    """Does not publish what has no body."""

    caught_by = ("test_an_absent_body_is_kept_apart_from_an_empty_one_or_refused",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish([m for m in messages if m.body is not None])


class InventsKeys(Wrapper):
    """Gives a key to what has none."""

    caught_by = ("test_a_message_without_a_key_arrives_without_one",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish([resend(m, key=m.key or b"none") for m in messages])


class CutsLargeBodies(Wrapper):
    """Truncates what is large."""

    caught_by = ("test_a_body_of_a_mebibyte_arrives_whole",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish([resend(m, body=m.body and m.body[:65536]) for m in messages])


class HidesRefusals(Wrapper):
    """Reports what was refused as accepted (M14)."""

    caught_by = (
        "test_a_message_over_the_limit_is_refused_and_its_neighbours_are_not",
        "test_an_unusable_topic_is_refused_and_its_neighbours_are_not",
        "test_a_request_to_retain_is_honoured_or_refused",
    )

    async def publish(self, messages: Sequence[Message], /) -> None:
        with suppress(PublishError):
            await self.inner.publish(messages)


class RefusesAll(Wrapper):
    """Refuses a whole call for one of its messages."""

    caught_by = (
        "test_a_message_over_the_limit_is_refused_and_its_neighbours_are_not",
        "test_an_unusable_topic_is_refused_and_its_neighbours_are_not",
    )

    async def publish(self, messages: Sequence[Message], /) -> None:
        size = self.capabilities.max_message_bytes or 0
        bad = [m for m in messages if "/" in m.topic or not m.topic or len(m.body or b"") > size]
        if bad:
            refused = dict.fromkeys(range(len(messages)), "one of them is bad")
            raise PublishError("refused", refused=refused)
        await self.inner.publish(messages)


class IgnoresRetain(Wrapper):
    """Takes a request that it cannot honour."""

    caught_by = ("test_a_request_to_retain_is_honoured_or_refused",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish([resend(m, retain=False) for m in messages])


class IgnoresFilters(Wrapper):
    """Subscribes to something else than was asked for."""

    caught_by = ("test_a_subscription_to_what_is_not_declared_is_refused",)

    def wish(self, subscription: Subscription) -> Subscription:
        plain = tuple(TopicFilter(t.name.split("/")[0]) for t in subscription.topics)
        return replace(subscription, topics=plain)


class PublishesLater(Wrapper):
    """Returns before the broker has accepted anything (P5)."""

    caught_by = (
        "test_published_headers_are_the_callers_to_change",
        "test_an_unusable_topic_is_refused_and_its_neighbours_are_not",
    )

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sending: list[asyncio.Task[None]] = []

    async def publish(self, messages: Sequence[Message], /) -> None:
        self.sending.append(asyncio.get_running_loop().create_task(self.send(messages)))

    async def send(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        with suppress(PublishError):
            await self.inner.publish(messages)

    async def __aexit__(self, *exc: object) -> None:
        for sending in self.sending:
            await asyncio.wait([sending])
        await self.inner.__aexit__(*exc)


class LosesTheLast(Wrapper):
    """Accepts a call of many and leaves out its last message."""

    caught_by = ("test_order_is_kept_within_one_call",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish(messages[:-1] if len(messages) > 10 else messages)


class PublishesBackwards(Wrapper):
    """Changes the order within a call."""

    caught_by = ("test_order_is_kept_within_one_call",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish(messages[::-1])


class PreparesAnything(Wrapper):
    """Finds every topic to be as expected."""

    caught_by = (
        "test_every_missing_topic_is_named",
        "test_topics_are_made_as_asked_and_checked_thereafter",
    )

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        with suppress(ConfigurationError):
            await self.inner.prepare(topics)


class HangsOnClose(Wrapper):
    """Never comes back from closing (K20, M26)."""

    caught_by = (
        "test_closing_ends_a_waiting_poll",
        "test_closing_with_unsettled_work_is_bounded",
    )

    async def __aexit__(self, *exc: object) -> None:
        await self.inner.__aexit__(*exc)
        await asyncio.Event().wait()


class FailsOnSecondClose(Wrapper):
    """Cannot be closed twice."""

    caught_by = ("test_closing_twice_is_harmless",)
    closed = False

    async def __aexit__(self, *exc: object) -> None:
        await self.inner.__aexit__(*exc)
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class LeaksTasks(Wrapper):
    """Leaves a task running for ever."""

    caught_by = ("test_leaving_leaves_no_task_behind",)

    async def __aexit__(self, *exc: object) -> None:
        await self.inner.__aexit__(*exc)
        self.leak = asyncio.get_running_loop().create_task(asyncio.Event().wait())


class BrowsesForEver(Wrapper):
    """Does not end where the topic ended."""

    caught_by = (
        "test_browsing_reads_a_topic_from_its_beginning_to_its_end",
        "test_browsing_an_empty_topic_ends_at_once",
    )

    def browse(
        self,
        topic: TopicFilter,
        /,
        *,
        follow: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self.inner.browse(topic, follow=True)


class TellsItsPassword(Wrapper):
    """Shows credentials in its address."""

    caught_by = ("test_the_url_holds_no_secret",)

    @property
    def url(self) -> str:
        return "memory://user:secret@host"
