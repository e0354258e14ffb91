"""What a broker will not carry as it is comes back byte for byte all the same."""

import zlib
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.dead_letter import bury, original, read_dead_letter
from choreo.errors import DecodeError
from choreo.message import Delivery, Header, Message
from choreo.packing import BODY, EMPTY, HEADERS, MAX_INFLATED, MAX_VALUE, Form
from tests.wire.test_dead_letter import KAFKA, MQTT, PARENT, SPAN, delivery, failure, headers

forms = st.sampled_from(Form)
bodies = st.none() | st.binary(max_size=300) | st.just(b"a" * 5000)


def content(message: Message) -> tuple[object, ...]:
    return (message.topic, message.body, message.key, list(message.headers))


@given(body=bodies, some=headers, form=forms, mqtt=st.booleans(), traced=st.booleans())
def test_the_original_comes_back_byte_for_byte_in_every_form_d6(
    body: bytes | None, some: list[Header], form: Form, *, mqtt: bool, traced: bool
) -> None:
    source = Delivery("orders", body, b"key", some, stream="orders-0", position=7)
    capabilities = MQTT if mqtt else KAFKA

    letter = bury(source, failure(), capabilities, traceparent=SPAN if traced else None, form=form)

    assert content(original(letter)) == ("orders", body, b"key", some)


@given(body=bodies, some=headers, first=forms, second=forms)
def test_a_letter_that_is_buried_again_still_holds_what_it_held_d4(
    body: bytes | None, some: list[Header], first: Form, second: Form
) -> None:
    source = Delivery("orders", body, b"key", some, stream="orders-0", position=7)
    letter = bury(source, failure(), MQTT, form=first)
    found = Delivery(letter.topic, letter.body, letter.key, letter.headers, stream="s", position=1)

    again = original(bury(found, failure(), MQTT, form=second))

    assert (again.topic, again.body, list(again.headers)) == (letter.topic, body, some)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("body", [b"", None])
def test_an_empty_body_never_deletes_the_letter_it_is_buried_in(
    body: bytes | None, form: Form
) -> None:
    letter = bury(delivery(("a", b"1"), body=body), failure(), MQTT, form=form)

    assert letter.retain
    assert letter.body
    assert original(letter).body == body


def test_where_nothing_is_kept_an_empty_body_stays_as_it_is() -> None:
    for body in (b"", None):
        letter = bury(delivery(body=body), failure(), KAFKA)

        assert letter.body == body
        assert EMPTY not in dict(letter.headers)


def test_where_there_are_no_tombstones_their_absence_is_told() -> None:
    letter = bury(delivery(body=None), failure(), replace(KAFKA, tombstones=False))

    assert letter.body
    assert original(letter).body is None


@given(st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=50)), max_size=20))
def test_packed_letters_are_text_that_every_transport_carries(some: list[Header]) -> None:
    letter = bury(delivery(*some), failure(), MQTT, form=Form.HEADERS, traceparent=SPAN)

    for name, value in letter.headers:
        assert name.isascii()
        assert name.isprintable()
        assert value is not None
        assert value.decode().isprintable()
        assert len(value) <= MAX_VALUE


def test_headers_larger_than_one_header_may_be_are_spread_over_several() -> None:
    noise = [
        (f"h{n}", zlib.crc32(b"%d" % n).to_bytes(4) * 64 + bytes(range(256))) for n in range(3)
    ]
    many = [*noise, ("large", b"".join(zlib.crc32(b"%d" % n).to_bytes(4) for n in range(30_000)))]

    letter = bury(delivery(*many), failure(), MQTT, form=Form.HEADERS)

    assert len([name for name, _ in letter.headers if name == HEADERS]) > 1
    assert list(original(letter).headers) == many


def test_the_last_form_is_smaller_than_the_original_with_its_reason() -> None:
    source = delivery(("a", b"1" * 500), body=b'{"order": 1}' * 200)
    told = failure(ValueError("x" * 3000))

    plain, packed = (bury(source, told, MQTT, form=form) for form in (Form.PLAIN, Form.WHOLE))

    assert size(packed) < len(source.body or b"") < size(plain)


def size(message: Message) -> int:
    return len(message.body or b"") + sum(len(n) + len(v or b"") for n, v in message.headers)


def test_a_packed_letter_says_what_a_plain_one_says() -> None:
    read = [read_dead_letter(bury(delivery(), failure(), MQTT, form=form)) for form in Form]

    assert read[0] is not None
    assert read == [read[0]] * len(Form)


def test_the_span_that_buries_stands_in_the_open_and_the_earlier_one_is_restored() -> None:
    source = delivery(("traceparent", PARENT.encode()))

    letter = bury(source, failure(), MQTT, traceparent=SPAN, form=Form.HEADERS)

    assert dict(letter.headers)["traceparent"] == SPAN.encode()
    assert list(original(letter).headers) == [("traceparent", PARENT.encode())]


@pytest.mark.parametrize(
    "spoilt",
    [
        b"?",
        b64encode(b"not deflated"),
        b64encode(zlib.compress(b'{"a": 1}')),
        b64encode(zlib.compress(b'[["a", "?"]]')),
        b64encode(zlib.compress(b"[]")[:-2]),
        b64encode(zlib.compress(b" " * (MAX_INFLATED + 1))),
    ],
    ids=["no base64", "not deflated", "no rows", "no values", "cut short", "a bomb"],
)
def test_spoilt_packed_headers_are_told_as_such_t5(spoilt: bytes) -> None:
    letter = bury(delivery(), failure(), KAFKA)
    letter.headers = [*letter.headers, (HEADERS, spoilt)]

    with pytest.raises(DecodeError, match="spoilt"):
        original(letter)


def test_a_packed_body_that_is_a_bomb_is_told_as_such_t5() -> None:
    letter = bury(delivery(), failure(), KAFKA)
    letter.body = zlib.compress(bytes(MAX_INFLATED + 1))
    letter.headers = [*letter.headers, (BODY, b"deflate")]

    with pytest.raises(DecodeError, match="spoilt"):
        original(letter)


def test_a_message_that_only_pretends_to_be_packed_is_buried_as_it_is() -> None:
    source = delivery((HEADERS, b"?"), (EMPTY, b"true"), ("a", b"1"), body=b"-")

    letter = bury(source, failure(), KAFKA)

    assert (letter.body, original(letter).body) == (b"-", b"-")
    assert list(original(letter).headers) == [("a", b"1")]
