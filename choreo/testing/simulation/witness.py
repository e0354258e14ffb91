"""What the processes of a world tell of themselves, and what user code tells beside them."""

from collections.abc import Sequence
from contextvars import ContextVar

from choreo.broker import Notice
from choreo.context import Context
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.message import Message
from choreo.middleware import Call
from choreo.testing.observing import Audience
from choreo.testing.simulation.history import Entry, History, Kind
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.loop import OWNER, SimulationLoop

STAGE: ContextVar["Stage | None"] = ContextVar("stage", default=None)
"""The world that code runs in."""
HANDLED: ContextVar[str] = ContextVar("handled", default="")
"""The id of the event whose handler runs."""
WELL = frozenset((Outcome.HANDLED,))
"""Outcomes with which what was emitted counts."""


class Stage:
    """Where what happens is written down."""

    def __init__(self, history: History, loop: SimulationLoop) -> None:
        self.history = history
        self.loop = loop
        self.broken = False
        """Something happened that may not happen in any world: there is no use in going on."""

    def tell(self, kind: Kind, host: str = "", text: str = "") -> None:
        """Write down what concerns no event."""
        self.broken = self.broken or kind == "broken"
        self.history.add(Entry(at=self.loop.time(), kind=kind, host=host, text=text))

    def observed(self, text: str, key: str, /) -> None:
        """Write down what a stand-in of the outside tells, and the event that is handled."""
        owner, about = OWNER.get(), HANDLED.get()
        host = str(owner) if isinstance(owner, Host) else ""
        self.history.add(
            Entry(at=self.loop.time(), kind="observed", host=host, id=about, key=key, text=text)
        )


class Witness:
    """The journal of one life of one process."""

    def __init__(self, stage: Stage, host: Host, service: str) -> None:
        self._stage = stage
        self._host = str(host)
        self._service = service

    async def began(self, context: Context, call: Call) -> None:
        """Tell that a handler is called: the outermost middleware."""
        envelope = context.envelope
        self._add(
            Entry(
                at=self._stage.loop.time(),
                kind="began",
                host=self._host,
                service=self._service,
                handler=context.handler,
                id=envelope.id,
                source=envelope.source,
                stream=context.delivery.stream,
                position=context.delivery.position,
            )
        )
        HANDLED.set(envelope.id)
        await call(context)

    def received(self, received: Received, /) -> None:
        """Tell that a delivery came in."""
        self._tell("received", received, "", "")

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Tell that an attempt failed."""
        del delay
        handler = job.handler.plan.id if job.handler else ""
        self._tell("failed", job.received, handler, f"{error!r}")

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Tell how a handler's share ended."""
        handler = job.handler.plan.id if job.handler else ""
        emitted = tuple(one.identity for one in job.emitted) if outcome in WELL else ()
        self._tell("ended", job.received, handler, outcome.value, emitted)

    def settled(self, received: Received, /) -> None:
        """Tell that a delivery was settled, or dropped."""
        self._tell("settled", received, "", "dropped" if received.dropped else "")

    def published(self, messages: Sequence[Message], /) -> None:
        """Leave it to the broker to tell."""

    def notice(self, notice: Notice, /) -> None:
        """Tell of streams that go, and of nothing that the coordinator tells itself."""
        if notice.kind == "revoked":
            text = " ".join(notice.streams)
            self._stage.tell("revoked", self._host, text)

    def _tell(
        self,
        kind: Kind,
        received: Received,
        handler: str,
        text: str,
        emitted: tuple[str, ...] = (),
    ) -> None:
        envelope, delivery = received.envelope, received.delivery
        self._add(
            Entry(
                at=self._stage.loop.time(),
                kind=kind,
                host=self._host,
                service=self._service,
                handler=handler,
                id=envelope.id if envelope else "",
                source=envelope.source if envelope else "",
                stream=delivery.stream,
                position=delivery.position,
                emitted=emitted,
                generation=received.generation,
                text=text,
            )
        )

    def _add(self, entry: Entry) -> None:
        self._stage.history.add(entry)


_: type[Journal] = Witness
__: type[Audience] = Stage
