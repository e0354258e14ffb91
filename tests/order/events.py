"""Numbered events."""

from choreo import Event
from choreo.envelope import Envelope


class Reading(Event, topic="readings", key="sensor", sequence="number"):
    sensor: str
    number: int
    value: str = ""


class Plain(Event, topic="plain", key="sensor"):
    sensor: str
    number: int


def envelope(
    number: str | None, *, sensor: str = "a", epoch: str | None = None, identity: str | None = None
) -> Envelope:
    """Make what a device would send."""
    body = f'{{"sensor": "{sensor}", "number": {number or 0}}}'
    return Envelope(
        id=identity or f"{sensor}-{epoch}-{number}",
        source="urn:device",
        type="Plain.v1",
        data=body.encode(),
        key=sensor,
        sequence=number,
        stream_id=None if number is None else sensor,
        stream_epoch=epoch,
    )
