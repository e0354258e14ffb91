"""Every byte arrives, or is refused: nothing is changed, dropped or invented on the way."""

import time

from choreo.errors import PublishError
from choreo.message import Delivery, Header, Message
from choreo.testing.contract.bench import Bench, bench, check, need, same
from choreo.testing.contract.setup import BrokerSetup

EVERY_BYTE = bytes(range(256))
MEBIBYTE = 1024 * 1024
DAY = 86_400
ROOM = 4096
"""Bytes that a client adds to the largest message it takes."""


class Fidelity:
    """What is handed over is what was published."""

    async def test_a_message_arrives_as_it_was_published(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            key = b"key" if b.keys else None
            await _arrives(b, [Message(b.topic, b"body", key, (("name", b"value"),))])

    async def test_a_record_time_is_in_seconds(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            await b.publish([1])

            (delivery,) = await member.receive(1)

            apart = abs((delivery.timestamp or time.time()) - time.time())
            check(apart < DAY, f"{delivery.timestamp} is {apart} s from now")

    async def test_every_byte_of_a_body_arrives(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            await _arrives(b, [Message(b.topic, EVERY_BYTE), Message(b.topic, b"")])

    async def test_a_body_of_a_mebibyte_arrives_whole(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            limit = b.broker.capabilities.max_message_bytes or 2 * MEBIBYTE
            await _arrives(b, [Message(b.topic, EVERY_BYTE * (min(MEBIBYTE, limit - ROOM) // 256))])

    async def test_headers_keep_their_order_their_repeats_and_their_text(
        self, setup: BrokerSetup
    ) -> None:
        headers: tuple[Header, ...] = (
            ("b", b"1"),
            ("a", "Grüße, 世界 🎻".encode()),
            ("b", b"2"),
            ("ünïcödé", b"name"),
            ("empty", b""),
            ("long", b"x" * 4000),
            ("b", b"1"),
        )
        async with bench(setup) as b:
            await _arrives(b, [Message(b.topic, b"body", None, headers), Message(b.topic, b"none")])

    async def test_a_content_type_is_a_header_like_any_other(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            headers = (("content-type", b"application/json; charset=utf-8"),)
            await _arrives(b, [Message(b.topic, b"{}", None, headers)])

    async def test_a_binary_header_is_kept_or_refused(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            message = Message(b.topic, b"body", None, (("bytes", EVERY_BYTE),))
            await _kept_or_refused(b, message, declared=b.broker.capabilities.binary_headers)

    async def test_an_absent_header_value_is_kept_or_refused(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            message = Message(b.topic, b"body", None, (("absent", None), ("empty", b"")))
            await _kept_or_refused(b, message, declared=b.broker.capabilities.binary_headers)

    async def test_an_absent_body_is_kept_apart_from_an_empty_one_or_refused(
        self, setup: BrokerSetup
    ) -> None:
        """Trap K29."""
        async with bench(setup) as b:
            message = Message(b.topic, None, b"key" if b.keys else None, (("a", b"b"),))
            await _kept_or_refused(b, message, declared=b.broker.capabilities.tombstones)

    async def test_a_key_of_any_bytes_is_kept(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            need(b.keys, "the adapter has no keys")
            await _arrives(b, [Message(b.topic, b"body", key) for key in (EVERY_BYTE, b"", b"a")])

    async def test_a_key_stays_behind_where_there_are_none(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            need(not b.keys, "the adapter has keys")
            await b.broker.publish([Message(b.topic, b"body", b"key", (("a", b"b"),))])

            (delivery,) = await member.receive(1)

            expected = _content(Message(b.topic, b"body", None, (("a", b"b"),)))
            same(_content(delivery), expected, "what arrived")

    async def test_a_message_without_a_key_arrives_without_one(self, setup: BrokerSetup) -> None:
        """Trap K29."""
        async with bench(setup) as b:
            need(b.keys, "the adapter has no keys")
            await _arrives(b, [Message(b.topic, b"%d" % number) for number in range(20)])

    async def test_a_request_to_retain_is_honoured_or_refused(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b:
            need(not b.broker.capabilities.retained, "tested with the adapter's retained values")
            message = Message(b.topic, b"body", retain=True)
            await _kept_or_refused(b, message, declared=False, must_refuse=True)

    async def test_published_headers_are_the_callers_to_change(self, setup: BrokerSetup) -> None:
        async with bench(setup) as b, b.join() as member:
            headers: list[Header] = [("a", b"1")]
            await b.broker.publish([Message(b.topic, b"body", None, headers)])
            headers[:] = [("b", b"2")]

            (delivery,) = await member.receive(1)

            same(tuple(delivery.headers), (("a", b"1"),), "headers")


async def _arrives(b: Bench, messages: list[Message]) -> None:
    async with b.join() as member:
        await b.broker.publish(messages)
        got = await member.receive(len(messages))
        member.consumer.settle(got)  # or a second call is handed these again
    # Without a common key messages may change places, so they are told apart by what they are.
    expected = sorted(map(_content, messages), key=repr)
    same(sorted(map(_content, got), key=repr), expected, "what arrived")


async def _kept_or_refused(
    b: Bench, message: Message, *, declared: bool, must_refuse: bool = False
) -> None:
    group = b.setup.name()
    async with b.join(group=group, start="latest") as member:
        try:
            await b.broker.publish([message])
        except PublishError as error:
            check(not declared, f"declared, and yet refused: {error.refused}")
            same(set(error.refused), {0}, "indices refused")
            return
        check(not must_refuse, "accepted what it cannot do")
        (delivery,) = await member.receive(1)
    same(_content(delivery), _content(message), "what arrived")


def _content(message: Message | Delivery) -> tuple[object, ...]:
    return (message.topic, message.body, message.key, tuple(message.headers), message.retain)
