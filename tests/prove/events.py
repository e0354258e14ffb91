"""The events of a run: a request, and all that follows from it."""

from hashlib import blake2b
from typing import Literal, NamedTuple

from choreo import Event

Kind = Literal["", "flaky", "rejected", "failing", "garbage"]


class Body(Event):
    """What all carry: whose it is, its number, what is wrong with it, and a sum over that."""

    owner: str
    number: int
    kind: Kind
    check: str


class Events(NamedTuple):
    """The events of one run; runs differ in their topics, so that they never meet."""

    requested: type[Body]
    placed: type[Body]
    paid: type[Body]
    overdue: type[Body]
    lapsed: type[Body]


def like(body: Body, kind: type[Body]) -> Body:
    """Pass on what an event carries."""
    return kind(owner=body.owner, number=body.number, kind=body.kind, check=body.check)


def checksum(owner: str, number: int) -> str:
    """Sum up what an event must not lose on its way."""
    return blake2b(f"{owner}/{number}".encode(), digest_size=16).hexdigest()


def events_of(run: str) -> Events:
    """Declare the events under topics of their own."""

    class Requested(
        Body, topic=f"{run}-requests", key="owner", sequence="number", name="prove.Requested"
    ):
        pass

    class Placed(Body, topic=f"{run}-orders", key="owner", name="prove.Placed"):
        pass

    class Paid(Body, topic=f"{run}-payments", key="owner", name="prove.Paid"):
        pass

    class Overdue(Body, topic=f"{run}-reminders", key="owner", name="prove.Overdue"):
        pass

    class Lapsed(Body, topic=f"{run}-lapses", key="owner", name="prove.Lapsed"):
        pass

    return Events(Requested, Placed, Paid, Overdue, Lapsed)
