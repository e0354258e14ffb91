"""The two events of a run; runs differ in their topics, so that they never meet."""

from typing import NamedTuple

from choreo import Event


class Order(Event):
    """What comes in, numbered from 0 within its key."""

    key: str
    number: int


class Taken(Event):
    """What one handler of payments made of an order."""

    key: str
    number: int
    by: str


class Events(NamedTuple):
    """The events of one run."""

    order: type[Order]
    taken: type[Taken]


def events_of(run: str) -> Events:
    """Declare the events under topics of their own."""

    class RunOrder(Order, topic=f"{run}-orders", key="key", name="crash.Order"):
        pass

    class RunTaken(Taken, topic=f"{run}-taken", key="key", name="crash.Taken"):
        pass

    return Events(RunOrder, RunTaken)
