"""Asking a source for numbers of a stream that did not come: an event of the framework's own."""

from choreo.event import Event, event_type


class ResendRequested(Event, topic="choreo/resend", name="choreo.ResendRequested", key="source"):
    """Published by a handler with ``Gaps(policy="resend")``; whoever is *source* may answer.

    The answer is the events themselves, published once more under the ids and numbers they had.
    """

    service: str
    handler: str
    source: str
    """CloudEvents source of the stream."""
    stream: str
    """Empty for the stream of all events of the source."""
    epoch: int
    first: int
    """The lowest number that is missing; 0 with *last* 0 if not even that is known."""
    last: int


RESEND_TOPIC = event_type(ResendRequested).topic.flat
