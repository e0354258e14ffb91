"""JSON payloads and the choice of a format by content type."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PlainSerializer, computed_field, field_serializer, field_validator

from choreo.codec import Codec, E, Payload
from choreo.codec.choice import Codecs
from choreo.codec.json import JsonCodec, scalars
from choreo.envelope import Envelope
from choreo.errors import ConfigurationError, DecodeError, EncodeError
from choreo.event import Event


class Paid(Event, topic="payments"):
    amount: Decimal
    at: datetime | None = None
    notes: dict[str, int] = Field(default_factory=dict[str, int])
    share: float = Field(default=0.5, alias="quota")


class Picky(Event, topic="picky"):
    value: int

    @field_validator("value")
    @classmethod
    def check(cls, value: int) -> int:
        raise {1: KeyError("canary"), 2: ValueError("canary"), 3: RecursionError()}[value]


def envelope(data: bytes | None, content_type: str = "application/json") -> Envelope:
    return Envelope(id="1", source="s", type="t", data=data, content_type=content_type)


decode = JsonCodec().decoder(Paid)


def refused(data: bytes | None, read: Callable[[Envelope], Event] = decode) -> str:
    with pytest.raises(DecodeError) as caught:
        read(envelope(data))
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_an_event_survives_the_trip_by_its_aliases() -> None:
    event = Paid(amount=Decimal("1.10"), notes={"a": 1}, quota=0.25)

    payload = JsonCodec().encoder(Paid)(event)

    assert b'"quota":0.25' in payload.data
    assert decode(envelope(payload.data)) == event


def test_an_unknown_field_is_ignored() -> None:
    assert decode(envelope(b'{"amount": "1", "more": []}')) == Paid(amount=Decimal(1))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "Paid: there is no data (a tombstone)"),
        (b"", "Paid: the whole: json_invalid"),
        (b"\xff", "Paid: the whole: json_invalid"),
        (b"[]", "Paid: the whole: model_type"),
        (b"{}", "Paid: amount: missing"),
        (b'{"amount": "canary"}', "Paid: amount: decimal_parsing"),
        (b'{"amount": "1", "quota": "canary"}', "Paid: quota: float_parsing"),
        (b'{"amount": "1", "notes": {"canary": "canary"}}', "Paid: notes.*: int_parsing"),
        (b'{"amount": "NaN"}', "Paid: amount: finite_number"),
        (b'{"amount": "1", "quota": NaN}', "Paid: quota: finite_number"),
        (b'{"amount": "1", "quota": 1e999}', "Paid: quota: finite_number"),
        (b'{"amount": ' + b"[" * 100_000, "Paid: the whole: json_invalid"),
    ],
)
def test_what_cannot_be_read_is_told_by_place_and_code_and_no_value_d10_t7(
    data: bytes | None, told: str
) -> None:
    assert refused(data) == told


@pytest.mark.parametrize("value", [1, 2, 3])
def test_whatever_a_validator_raises_is_a_decode_error_without_its_text_d10(value: int) -> None:
    text = refused(b'{"value": %d}' % value, JsonCodec().decoder(Picky))

    assert "canary" not in text


def test_a_hundred_problems_make_a_short_text() -> None:
    notes = ",".join(f'"{number}": "x"' for number in range(100))

    text = refused(f'{{"amount": "1", "notes": {{{notes}}}}}'.encode())

    assert text.endswith("and 95 more")
    assert len(text) < 300


def test_an_event_that_was_never_validated_is_not_written_as_it_is() -> None:
    odd: dict[str, Any] = {"amount": "canary", "share": []}

    with pytest.raises(EncodeError) as caught:
        JsonCodec().encoder(Paid)(Paid.model_construct(**odd))

    assert "canary" not in str(caught.value)


class Loose(Event, topic="loose"):
    value: Any = None
    raw: bytes = b""


@given(raw=st.binary(max_size=20))
def test_bytes_survive_the_trip_whatever_they_are(raw: bytes) -> None:
    payload = JsonCodec().encoder(Loose)(Loose(raw=raw))

    assert JsonCodec().decoder(Loose)(envelope(payload.data)).raw == raw


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "NaN or infinity"),
        ({"canary": [float("-inf")]}, "NaN or infinity"),
        (object(), "unknown type: <class 'object'>"),
        ("canary\ud800", "surrogates not allowed"),
    ],
)
def test_what_json_cannot_say_is_refused_by_a_reason_and_no_value_t7_d10(
    value: object, told: str
) -> None:
    with pytest.raises(EncodeError) as caught:
        JsonCodec().encoder(Loose)(Loose(value=value))

    assert str(caught.value) == f"Loose cannot be written as JSON: {told}"


def test_text_that_merely_speaks_of_nan_is_written() -> None:
    assert b"NaN and Infinity" in JsonCodec().encoder(Loose)(Loose(value="NaN and Infinity")).data


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_random_bytes_raise_nothing_but_a_decode_error(data: bytes) -> None:
    with suppress(DecodeError):
        decode(envelope(data))


class Marks:
    """A format that reads one mark."""

    @property
    def content_types(self) -> tuple[str, ...]:
        return ("application/mark",)

    def encoder(self, event: type[E], /) -> Callable[[E], Payload]:
        return lambda _: Payload(event.__name__.encode())

    def decoder(self, event: type[E], /) -> Callable[[Envelope], E]:
        if event is Picky:
            raise ConfigurationError("it has no mark")
        return lambda _: event.model_validate({"amount": 7})


_: type[Codec] = Marks


@pytest.mark.parametrize(
    ("content_type", "amount"),
    [
        ("application/json", 1),
        ("Application/JSON; charset=UTF-8", 1),
        ("application/vnd.acme.paid+json;v=1", 1),
        ("application/mark", 7),
        (" APPLICATION/MARK ", 7),
    ],
)
def test_the_format_is_chosen_by_the_normalised_content_type(
    content_type: str, amount: int
) -> None:
    read = Codecs(JsonCodec(), Marks()).decoder(Paid)

    for _ in range(2):
        assert read(envelope(b'{"amount": 1}', content_type)).amount == amount


def test_json_is_read_in_the_first_format_that_reads_it() -> None:
    class MarksForJson(Marks):
        @property
        def content_types(self) -> tuple[str, ...]:
            return ("application/json",)

    first = Codecs(MarksForJson(), JsonCodec()).decoder(Paid)
    second = Codecs(JsonCodec(), MarksForJson()).decoder(Paid)

    found = [read(envelope(b'{"amount": 1}')).amount for read in (first, second)]
    assert found == [7, 1]


@pytest.mark.parametrize(
    "content_type", ["application/avro", "json", "", "text/plain", "*/*+json+x"]
)
def test_an_unknown_content_type_is_a_decode_error(content_type: str) -> None:
    read = Codecs(JsonCodec()).decoder(Paid)

    with pytest.raises(DecodeError, match="content type"):
        read(envelope(b"{}", content_type))


def test_the_first_format_writes() -> None:
    assert Codecs(Marks(), JsonCodec()).encoder(Paid)(Paid(amount=Decimal(1))).data == b"Paid"
    assert Codecs(Marks(), JsonCodec()).content_types[0] == "application/mark"


def test_a_class_that_one_format_cannot_express_is_read_in_the_others() -> None:
    read = Codecs(JsonCodec(), Marks()).decoder(Picky)

    with pytest.raises(DecodeError, match="no mark"):
        read(envelope(b"", "application/mark"))
    with pytest.raises(ConfigurationError, match="no mark"):
        Codecs(Marks()).decoder(Picky)


def test_the_bound_methods_of_pydantic_are_still_there() -> None:
    # The codec takes these for speed; a pydantic without them must fail here and not in a service.
    bound: Any = Paid
    assert bound.__pydantic_validator__.validate_json(b'{"amount": 1}').amount == 1
    assert bound.__pydantic_serializer__.to_json(Paid(amount=Decimal(1))).startswith(b"{")


class Flat(Event, topic="flat"):
    name: str
    count: int = Field(default=0, ge=0)


class Shouted(Event, topic="shouted"):
    name: str

    @field_serializer("name")
    def shout(self, name: str) -> str:
        return name.upper()


class Tagged(Event, topic="tagged"):
    name: Annotated[str, PlainSerializer(str.upper, return_type=str)]


class Counted(Event, topic="counted"):
    name: str

    @computed_field
    def length(self) -> int:
        return len(self.name)


def test_only_scalars_that_pydantic_writes_its_own_way_need_no_second_look() -> None:
    found = [scalars(event) for event in (Flat, Paid, Shouted, Tagged, Counted)]

    assert found == [[str, int], None, None, None, None]


@pytest.mark.parametrize("odd", [{"count": "seven"}, {"count": 1.5}, {"name": 7}])
def test_a_scalar_that_is_not_what_its_class_says_is_refused_on_writing(
    odd: dict[str, Any],
) -> None:
    event = Flat(name="a").model_copy(update=odd)

    with pytest.raises(EncodeError, match="Flat cannot be written"):
        JsonCodec().encoder(Flat)(event)


def test_an_event_of_scalars_is_written_as_it_would_be_with_every_check() -> None:
    event = Flat(name="a", count=True)

    payloads = [JsonCodec().encoder(Flat)(each) for each in (event, Flat(name="a", count=1))]

    assert [payload.data for payload in payloads] == [b'{"name":"a","count":1}'] * 2
