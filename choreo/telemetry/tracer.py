"""One service's telemetry while it runs.

What becomes a span.  *create*: one per event where several are published at once, if switched on.
*send*: each publish, from writing to the broker's word; a publish of one event gives that event its
trace context and is a PRODUCER span, any other is a CLIENT span that links to the contexts in its
messages.  *process*: each attempt of a handler.  *settle*: each event that is given up, with the
publish to the dead letters below it.  Settling what was handled is a note in memory which the
adapter passes on in batches: a span for each would cost more than what it tells.

Tasks that run handlers have no span of their own; whatever is ambient there was left by the code
that started the service.  So a process span is the child of its event's creation context, or with
``parent="link"`` begins a trace, which keeps outsiders from choosing trace ids and sampling (T2);
in both cases it links to that context.

Where nothing is recorded (the sampler's word) no attribute beyond those a sampler may ask for is
gathered, and sends below an unsampled span pass its context on without spans of their own.
"""

from collections.abc import Callable, Sequence

from choreo.delivery.job import Job
from choreo.delivery.tracing import Draft, Operation, Tracer
from choreo.message import Message
from choreo.telemetry.consuming import Consuming
from choreo.telemetry.operations import Scene
from choreo.telemetry.producing import Producing


class ServiceTracer:
    """Follows the operations of one service on one broker: with spans, durations, or both."""

    def __init__(self, scene: Scene) -> None:
        consuming, producing = Consuming(scene), Producing(scene)
        # Bound once, so that an operation costs no call that only passes it on.
        self.process: Callable[[Job], Operation] = consuming.process
        self.bury: Callable[[Job], Operation] = consuming.bury
        self.write: Callable[[Sequence[Draft]], Operation] = producing.write
        self.send: Callable[[Sequence[Message]], Operation] = producing.send


_: type[Tracer] = ServiceTracer
