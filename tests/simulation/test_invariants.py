"""What is held against a history, and what is not."""

from choreo.testing.simulation import History
from choreo.testing.simulation.history import Entry, Kind, Subscriber
from choreo.testing.simulation.invariants import order_per_key

FILES = Subscriber("files", "file", "Billed.v1", "bills", durable=True)


def told(*entries: tuple[Kind, str, int]) -> list[str]:
    """Judge what happened to events of one key: its kind, the event, and its place in the log."""
    history = History(1, [FILES])
    for at, (kind, identity, position) in enumerate(entries):
        service, handler = ("", "") if kind == "accepted" else ("files", "file")
        history.add(
            Entry(
                at=float(at),
                kind=kind,
                service=service,
                handler=handler,
                id=identity,
                source="urn:billing",
                key="a",
                topic="bills",
                stream="mqtt",
                position=position,
            )
        )
    return list(order_per_key(history))


def test_a_copy_of_what_a_session_has_lost_unseen_is_in_order_where_the_copy_lies() -> None:
    """A simulated Mosquitto repeats a message late: the first was never there for its service."""
    assert not told(
        ("accepted", "one", 1),
        ("dropped", "one", -1),
        ("accepted", "two", 2),
        ("accepted", "one", 3),
        ("effect", "two", -1),
        ("effect", "one", -1),
    )


def test_what_a_service_has_seen_before_its_session_was_lost_keeps_its_place() -> None:
    assert told(
        ("accepted", "one", 1),
        ("received", "one", 1),
        ("dropped", "one", -1),
        ("accepted", "two", 2),
        ("accepted", "one", 3),
        ("effect", "two", -1),
        ("effect", "one", -1),
    )
