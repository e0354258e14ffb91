"""The events of the failure tests."""

from choreo import Event


class Placed(Event, topic="orders", key="order"):
    order: str
    number: int = 0


class Paid(Event, topic="payments", key="order"):
    order: str
    number: int = 0


class PlacedV2(Event, topic="orders", key="order", name="Placed", version=2):
    order: str
