"""Under which subject of a registry an event's contract is kept.

``topic``: one subject for a topic, and so one event, as Confluent's tools have it by default;
``record``: one for an event wherever it is; ``topic_record``: one for an event of a topic.
"""

from typing import Literal

from choreo.event import Event, event_type

Subjects = Literal["topic", "record", "topic_record"]


def subject_of(event: type[Event], strategy: Subjects) -> str:
    """Name the subject of *event*."""
    declared = event_type(event)
    match strategy:
        case "topic":
            return f"{declared.topic.flat}-value"
        case "record":
            return declared.name
        case "topic_record":
            return f"{declared.topic.flat}-{declared.name}"
