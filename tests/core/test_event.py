from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from choreo.errors import ConfigurationError
from choreo.event import Event, event_type, partition_key


class Shop(Event, domain="com.example.shop"):
    """A parent that gives its events a domain."""


class OrderPlaced(Shop, topic="orders", key="order_id", version=2):
    order_id: UUID
    note: str | None = None


class Renamed(Event, topic="orders", name="com.example.OrderCancelled"):
    order_id: int


def test_the_class_arguments_are_the_identity_on_the_wire() -> None:
    declared = event_type(OrderPlaced)

    assert declared.type == "com.example.shop.OrderPlaced.v2"
    assert declared.topic.flat == "orders"
    assert event_type(Renamed).type == "com.example.OrderCancelled.v1"


def test_the_key_field_keeps_related_events_in_order() -> None:
    identity = uuid4()

    assert partition_key(OrderPlaced(order_id=identity)) == str(identity)
    assert partition_key(Renamed(order_id=1)) is None


def test_an_event_never_changes() -> None:
    event = OrderPlaced(order_id=uuid4())

    with pytest.raises(ValidationError):
        event.note = "changed"  # type: ignore[misc]


def test_unknown_fields_are_ignored_and_infinities_refused() -> None:
    class Measured(Event, topic="t"):
        value: float

    assert Measured.model_validate_json('{"value": 1, "new": 2}') == Measured(value=1)
    with pytest.raises(ValidationError):
        Measured.model_validate_json('{"value": NaN}')


def test_a_parent_without_topic_is_no_event_of_its_own() -> None:
    with pytest.raises(ConfigurationError, match="Shop has no topic"):
        event_type(Shop)


def test_a_subclass_of_an_event_declares_its_own_identity() -> None:
    class Special(OrderPlaced):
        extra: int = 0

    with pytest.raises(ConfigurationError, match="Special has no topic"):
        event_type(Special)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"key": "nothing"}, "key names no field 'nothing'"),
        ({"sequence": "nothing"}, "sequence names no field"),
        ({"idempotency_key": "nothing"}, "idempotency_key names no field"),
        ({"topic": "a/{nothing}"}, "topic field 'nothing'"),
        ({"version": 0}, "versions count from 1"),
        ({"name": "1st"}, "must begin with a letter"),
        ({"name": "a b"}, "must begin with a letter"),
    ],
)
def test_a_wrong_declaration_fails_where_it_is_written(
    arguments: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        type("Wrong", (Event,), {"__module__": __name__}, **{"topic": "t", **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"topic": 3},
        {"topic": "orders", "key": ["order_id"]},
        {"topic": "orders", "version": "2"},
        {"topic": "orders", "retain": "yes"},
        {"topic": "orders", "foreign": "id"},
    ],
)
def test_a_class_argument_of_another_type_is_refused_by_name(arguments: dict[str, Any]) -> None:
    wrong = list(arguments)[-1]

    with pytest.raises(ConfigurationError, match=f"{wrong}=.* must be of type"):
        type("Wrong", (Event,), {}, **arguments)


@pytest.mark.parametrize("value", [{"order_id": 1}, "OrderPlaced", int])
def test_what_is_no_event_is_told_as_such(value: Any) -> None:  # noqa: ANN401 -- wrong on purpose
    with pytest.raises(ConfigurationError, match="is no event"):
        event_type(value)
