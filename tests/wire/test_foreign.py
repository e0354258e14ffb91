"""Records that are no CloudEvents, read as their events declare."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from choreo.broker import Binding
from choreo.clock import SystemClock
from choreo.cloudevents import EnvelopeReader
from choreo.codec.json import JsonCodec
from choreo.envelope import Envelope
from choreo.errors import ConfigurationError, DecodeError, MalformedEnvelope
from choreo.event import Event
from choreo.foreign import Digest, Field, Foreign, Header, Key, Position
from choreo.message import Delivery
from choreo.message import Header as Wire

RECEIVED = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Still(SystemClock):
    def now(self) -> datetime:
        return RECEIVED


class Reading(
    Event,
    topic="devices/{device}/reading",
    key="device",
    foreign=Foreign(id=Field("/meta/id"), time=Field("/at"), unit="ms", sequence=Field("/meta/n")),
):
    device: str
    value: float


class Order(Event, topic="orders", foreign=Foreign(id=Key(), type=Header("kind"), equals="order")):
    total: int


class Refund(
    Event,
    topic="orders",
    foreign=Foreign(id=Position(), type=Field("/kind"), equals="refund", source="urn:erp"),
):
    total: int


class Anything(Event, topic="orders", foreign=Foreign(id=Digest())):
    pass


def read(
    events: Sequence[type[Event]],
    topic: str,
    body: bytes | None,
    *some: Wire,
    binding: Binding = Binding.KAFKA,
    key: bytes | None = None,
) -> Envelope | None:
    delivery = Delivery(topic, body, key, some, stream="orders-1", position=9, timestamp=1.5)
    return EnvelopeReader(binding, events, clock=Still()).read(delivery)


def test_a_devices_bare_json_becomes_its_event_with_what_the_topic_says() -> None:
    body = b'{"meta": {"id": 17, "n": 4}, "at": 1769860800000, "value": 1.50}'

    found = read([Reading], "devices/a%2Fb/reading", body, binding=Binding.MQTT)

    assert found is not None
    assert found.foreign
    assert (found.id, found.type, found.time) == ("17", "Reading.v1", "2026-01-31T12:00:00.000000Z")
    assert found.source == "urn:choreo:foreign:devices/a%252Fb/reading"
    assert (found.key, found.stream_id, found.sequence) == ("a/b", "a/b", "00000000000000000004")
    assert (
        found.data
        == b'{"device": "a/b","meta": {"id": 17, "n": 4}, "at": 1769860800000, "value": 1.50}'
    )
    assert JsonCodec().decoder(Reading)(found) == Reading(device="a/b", value=1.5)


def test_a_field_the_body_has_is_not_taken_from_the_topic() -> None:
    body = b'{"device": "own", "meta": {"id": "1", "n": "2"}, "at": 0, "value": 1}'

    found = read([Reading], "devices/a/reading", body, binding=Binding.MQTT)

    assert found is not None
    assert (found.data, found.key) == (body, "own")


def test_an_empty_object_can_be_filled_from_the_topic() -> None:
    class Ping(Event, topic="ping/{who}", foreign=Foreign(id=Digest())):
        who: str

    found = read([Ping], "ping/me", b" { } ", binding=Binding.MQTT)

    assert found is not None
    assert JsonCodec().decoder(Ping)(found) == Ping(who="me")


def test_the_declaration_whose_type_fits_is_taken_and_one_without_a_type_last() -> None:
    events: list[type[Event]] = [Anything, Order, Refund]

    order = read(events, "orders", b"no json", ("kind", b"order"), key=b"k1")
    refund = read(events, "orders", b'{"kind": "refund"}', ("kind", b"?"))
    other = read(events, "orders", b'{"kind": 5}')

    assert order is not None
    assert refund is not None
    assert other is not None
    assert (order.type, order.id) == ("Order.v1", "k1")
    assert (refund.type, refund.id, refund.source) == ("Refund.v1", "orders/orders-1/9", "urn:erp")
    assert (other.type, len(other.id)) == ("Anything.v1", 64)
    assert order.time == "1970-01-01T00:00:01.500000Z"


def test_a_record_that_no_declaration_fits_is_nobodys() -> None:
    assert read([Order], "orders", b"{}", ("kind", b"refund"), key=b"1") is None
    assert read([Order], "elsewhere", b"{}", ("kind", b"order"), key=b"1") is None
    assert read([], "orders", b"{}") is None


def test_a_tombstone_is_nobodys_whatever_is_declared_k29() -> None:
    assert read([Reading, Anything], "orders", None, key=b"1") is None
    assert read([Order], "orders", None, ("kind", b"order"), key=b"1") is None


def test_a_declared_header_may_be_spelt_like_an_attribute_but_a_cloudevent_stays_one() -> None:
    class Legacy(Event, topic="legacy", foreign=Foreign(id=Header("id"))):
        pass

    found = read([Legacy], "legacy", b"{}", ("id", b"5"), binding=Binding.MQTT)

    assert found is not None
    assert (found.id, found.foreign) == ("5", True)
    with pytest.raises(MalformedEnvelope):
        read([Legacy], "legacy", b"{}", ("id", b"5"), ("specversion", b"1.0"), binding=Binding.MQTT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"5",
        b"{}",
        b'{"meta": {"id": null, "n": 1}, "at": 0}',
        b'{"meta": {"id": true, "n": 1}, "at": 0}',
        b'{"meta": {"id": "", "n": 1}, "at": 0}',
        b'{"meta": {"id": "a\\n", "n": 1}, "at": 0}',
        b'{"meta": {"id": [], "n": 1}, "at": 0}',
        b'{"meta": {"id": 1, "n": -1}, "at": 0}',
        b'{"meta": {"id": 1, "n": 1.5}, "at": 0}',
        b'{"meta": {"id": 1, "n": 1}, "at": "now"}',
        b'{"meta": {"id": 1, "n": 1}, "at": 1e300}',
        b'{"meta": {"id": 1, "n": 1}, "at": NaN}',
        b'{"meta": {"id": 1, "n": 1}}',
        b"[" * 100_000,
    ],
)
def test_a_record_that_lacks_what_is_declared_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEnvelope):
        read([Reading], "devices/a/reading", body, binding=Binding.MQTT)


def test_a_missing_key_or_header_is_malformed() -> None:
    for key in (None, b"", b"\xff"):
        with pytest.raises(MalformedEnvelope):
            read([Order], "orders", b"{}", ("kind", b"order"), key=key)
    with pytest.raises(MalformedEnvelope):
        read([Order], "orders", b"{}", ("kind", b"\xff"), key=b"1")


def test_the_time_is_that_of_receipt_where_the_broker_has_none() -> None:
    delivery = Delivery("orders", b"{}", None, ())

    found = EnvelopeReader(Binding.KAFKA, [Anything], clock=Still()).read(delivery)

    assert found is not None
    assert found.occurred == RECEIVED


@pytest.mark.parametrize(
    ("foreign", "binding"),
    [
        (Foreign(id=Field("no-slash")), Binding.KAFKA),
        (Foreign(id=Field("/a~2")), Binding.KAFKA),
        (Foreign(id=Key(), type=Header("a")), Binding.KAFKA),
        (Foreign(id=Key(), equals="a"), Binding.KAFKA),
        (Foreign(id=Key(), source="no uri"), Binding.KAFKA),
        (Foreign(id=Field("/a"), content_type="application/avro"), Binding.KAFKA),
        (Foreign(id=Key()), Binding.MQTT),
        (Foreign(id=Position()), Binding.MQTT),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_at_start(
    foreign: Foreign, binding: Binding
) -> None:
    class Bad(Event, topic="bad", foreign=foreign):
        pass

    with pytest.raises(ConfigurationError, match="Bad"):
        EnvelopeReader(binding, [Bad])


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["meta", "id", "n", "at", "device"]), inner, max_size=3)
    ),
)


@given(value=json_values, raw=st.binary(max_size=30), plain=st.booleans())
def test_no_foreign_record_raises_anything_but_a_decode_error(
    value: object, raw: bytes, *, plain: bool
) -> None:
    body = raw if plain else to_json(value)
    with suppress(DecodeError):
        read([Reading], "devices/a/reading", body, binding=Binding.MQTT)
