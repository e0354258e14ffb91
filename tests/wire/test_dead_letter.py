"""Dead letters: the original byte for byte, our own headers bounded and replaced."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from choreo.broker import Binding, Capabilities
from choreo.dead_letter import (
    MAX_TOTAL,
    SHORT_ERROR,
    Failure,
    bury,
    dead_letter_filter,
    dead_letter_topic,
    is_dead_letter_topic,
    original,
    read_dead_letter,
)
from choreo.errors import DecodeError, Reject
from choreo.letter_id import PREFIX
from choreo.message import Delivery, Header, Message
from choreo.reason import Reason
from choreo.replay import Replayed

KAFKA = Capabilities(
    binding=Binding.KAFKA, system="kafka", keys=True, durable=True, resumes=True, groups=True,
    binary_headers=True, tombstones=True, topic_levels=False, retained=False, browsable=True,
)  # fmt: skip
MQTT = Capabilities(
    binding=Binding.MQTT, system="mqtt", keys=False, durable=True, resumes=True, groups=False,
    binary_headers=False, tombstones=False, topic_levels=True, retained=True, browsable=False,
)  # fmt: skip
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SPAN = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"

names = st.text(min_size=1, max_size=20).filter(lambda name: not name.startswith(PREFIX))
headers = st.lists(
    st.tuples(st.one_of(names, st.just("traceparent")), st.none() | st.binary(max_size=70))
    | st.just(("traceparent", PARENT.encode())),
    max_size=8,
)


def failure(error: BaseException | None = None, **known: object) -> Failure:
    return Failure(
        reason=Reason.RETRIES_EXHAUSTED, service="billing", at=AT, handler="charge", attempts=5,
        first_failed=AT, error=error,
    )  # fmt: skip


def delivery(*some: Header, body: bytes | None = b"{}", position: int = 41) -> Delivery:
    return Delivery("orders", body, b"key", some, stream="orders-3", position=position)


def own(message: Message) -> dict[str, bytes | None]:
    return {name: value for name, value in message.headers if name.startswith(PREFIX)}


def size(message: Message) -> int:
    return sum(len(name) + len(value or b"") for name, value in own(message).items())


@given(
    body=st.none() | st.binary(), key=st.none() | st.binary(), some=headers, traced=st.booleans()
)
def test_the_original_comes_back_byte_for_byte_d6(
    body: bytes | None, key: bytes | None, some: list[Header], *, traced: bool
) -> None:
    source = Delivery("orders", body, key, some, stream="orders-0", position=7)

    letter = bury(source, failure(), KAFKA, traceparent=SPAN if traced else None)

    restored = original(letter)
    assert (restored.topic, restored.body, restored.key) == ("orders", body, key)
    assert list(restored.headers) == some


def test_the_span_that_buries_replaces_the_traceparent_and_nothing_else() -> None:
    source = delivery(("a", b"1"), ("traceparent", PARENT.encode()), ("a", None))

    letter = bury(source, failure(), KAFKA, traceparent=SPAN)

    assert list(letter.headers[:3]) == [
        ("a", b"1"),
        ("traceparent", SPAN.encode()),
        ("a", None),
    ]
    assert own(letter)[f"{PREFIX}traceparent"] == PARENT.encode()


def test_a_hundred_burials_do_not_make_a_letter_grow_d4() -> None:
    letter = bury(delivery(("a", b"1")), failure(ValueError("x" * 9000)), KAFKA, traceparent=SPAN)
    first = size(letter)

    for _ in range(100):
        again = Delivery(
            letter.topic, letter.body, letter.key, letter.headers, stream="dlq-0", position=41
        )
        letter = bury(again, failure(ValueError("x" * 9000)), KAFKA, traceparent=SPAN)

    assert size(letter) <= first + 64
    assert size(letter) <= MAX_TOTAL
    assert len(own(letter)) == len(letter.headers) - 2


@pytest.mark.parametrize("error", ["ü" * 70_000, "\U0001f600" * SHORT_ERROR])
def test_our_own_headers_are_capped_whatever_the_names_and_the_error(error: str) -> None:
    kind = type("E" * 70_000, (Exception,), {})
    source = Replayed(
        topic="t" * 65_000,
        body=b"",
        headers=[("traceparent", SPAN.encode())],
        letter="l" * 70_000,
        handler="ü" * 70_000,
        generation=2**31 - 1,
        forced=False,
        first_failed=AT,
        origin=("s" * 70_000, 2**63),
    )
    long = Failure(
        reason=Reason.UNDECLARED_EMIT,
        service="b" * 70_000,
        at=AT,
        handler="ü" * 70_000,
        attempts=2**63,
        error=kind(error),
    )

    letter = bury(source, long, KAFKA, traceparent=SPAN)

    assert size(letter) <= MAX_TOTAL
    assert read_dead_letter(letter) is not None


def test_what_a_letter_says_can_be_read_back() -> None:
    letter = read_dead_letter(bury(delivery(), failure(Reject("no such order")), KAFKA))

    assert letter is not None
    assert (letter.reason, letter.service, letter.handler) == (
        Reason.RETRIES_EXHAUSTED,
        "billing",
        "charge",
    )
    assert (letter.topic, letter.stream, letter.position) == ("orders", "orders-3", 41)
    assert (letter.attempts, letter.error_type) == (5, "choreo.errors.Reject")
    assert letter.error == "no such order"
    assert (letter.first_failed, letter.buried) == (AT, AT)


def test_the_same_failure_is_the_same_letter_and_another_position_another_d2() -> None:
    ids = [
        read_dead_letter(bury(delivery(position=position), failure(), KAFKA))
        for position in (41, 41, 42)
    ]

    first, again, other = (letter.id for letter in ids if letter)
    assert first == again != other


def test_on_mqtt_a_redelivery_on_a_new_connection_is_the_same_letter_d2() -> None:
    one = Delivery("a/b", b"x", None, (("id", b"1"),), stream="c1", position=4, epoch=1)
    two = Delivery("a/b", b"x", None, (("id", b"1"),), stream="c2", position=9, epoch=2)

    assert bury(one, failure(), MQTT).topic == bury(two, failure(), MQTT).topic


def test_on_mqtt_each_letter_is_kept_on_its_own_topic() -> None:
    letter = bury(delivery(), failure(), MQTT)

    read = read_dead_letter(letter)
    assert read is not None
    assert letter.topic == f"choreo/dlq/billing/{read.id}"
    assert letter.retain
    assert dead_letter_filter("billing", MQTT).name == "choreo/dlq/billing/+"
    assert dead_letter_filter("billing", MQTT).retained


@given(st.text(max_size=300))
def test_own_headers_are_text_that_mqtt_can_carry(text: str) -> None:
    letter = bury(delivery(), failure(ValueError(text)), MQTT)

    for value in own(letter).values():
        assert value is not None
        assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in value.decode())


def test_a_canary_in_the_payload_does_not_reach_the_headers_d10() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, int]).validate_json(b'{"canary-key": "canary-value"}')

    letter = bury(delivery(), failure(caught.value), KAFKA)

    assert b"canary" not in b"".join(value or b"" for value in own(letter).values())
    assert b"int_parsing" in (own(letter)[f"{PREFIX}error-message"] or b"")


def test_what_is_no_letter_is_told_apart() -> None:
    plain = Message("orders", b"{}", headers=(("choreo-dlq-reason", b"malformed"),))

    assert read_dead_letter(plain) is None
    with pytest.raises(DecodeError):
        original(plain)


def test_dead_letter_topics_are_known_as_such_d3() -> None:
    assert dead_letter_topic("billing") == "choreo.dlq.billing"
    assert is_dead_letter_topic(dead_letter_topic("billing"))
    assert is_dead_letter_topic(bury(delivery(), failure(), MQTT).topic)
    assert not is_dead_letter_topic("orders")
