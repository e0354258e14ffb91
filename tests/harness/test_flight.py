"""The count of what is in flight, without any broker."""

from choreo.delivery.job import Received
from choreo.message import Delivery, Message
from choreo.testing.flight import Flight


def test_a_published_message_is_in_flight_until_each_subscriber_settled_it() -> None:
    flight = flying("one", "two")
    first, second = received(), received()

    flight.published([Message("orders", b"1")])
    assert not flight.idle
    flight.received("one", first)
    flight.settled(first)
    assert not flight.idle
    flight.received("two", second)
    assert not flight.idle
    flight.settled(second)

    assert flight.idle


def test_a_delivery_may_overtake_the_receipt_of_its_publishing() -> None:
    flight = flying("one")
    early = received()

    flight.received("one", early)
    flight.settled(early)
    flight.published([Message("orders", b"1")])

    assert flight.idle


def test_what_was_dropped_is_expected_again() -> None:
    flight = flying("one")
    first, again = received(), received()
    flight.published([Message("orders", b"1")])
    flight.received("one", first)

    first.dropped = True
    flight.settled(first)
    assert not flight.idle
    flight.received("one", again)
    flight.settled(again)

    assert flight.idle


def test_copies_are_counted_each() -> None:
    flight = flying("one")
    flight.published([Message("orders", b"1"), Message("orders", b"1")])

    copy = received()
    flight.received("one", copy)
    flight.settled(copy)

    assert not flight.idle
    assert flight.report() == [
        "one has not received 1 of what was published on 'orders': b'1'",
    ]


def test_a_tombstone_that_a_transport_makes_an_empty_body_is_still_it() -> None:
    flight = flying("one")
    flight.published([Message("orders", None)])

    empty = received(body=b"")
    flight.received("one", empty)
    flight.settled(empty)

    assert flight.idle


def flying(*services: str) -> Flight:
    flight = Flight()
    for service in services:
        flight.join(service, {"orders"}.__contains__)
    return flight


def received(*, body: bytes | None = b"1") -> Received:
    return Received(Delivery("orders", body), None, 1, 1)
