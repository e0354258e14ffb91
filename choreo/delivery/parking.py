"""What becomes of an event that failed for good, or failed once more in the parking lot: pure."""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import cast

from choreo.delivery.books import id_conflict
from choreo.delivery.job import Job
from choreo.park import Park
from choreo.reason import Reason
from choreo.store.lot import Parking, line_of

MENDABLE = frozenset((Reason.HANDLER_ERROR, Reason.RETRIES_EXHAUSTED, Reason.TIMEOUT))
"""Reasons that another day, or a mended handler, may do away with; for others nobody waits."""


class Fate(Enum):
    """What becomes of an event that failed in the lot."""

    PUT_OFF = "put off"
    HOLD = "hold"
    """Its key waits for an operator, or for the service's next start."""
    SKIP = "skip"
    """It goes to the dead letters, and the next of its key has its turn."""
    BURY_ALL = "bury all"
    """It and all behind it go to the dead letters."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and in how many seconds."""

    fate: Fate
    delay: float = 0.0


THEN = {"hold": Fate.HOLD, "skip": Fate.SKIP, "dead_letter": Fate.BURY_ALL}


def decide(park: Park, failed: int, random: Random) -> Decision:
    """Decide after *failed* attempts from the lot; 0 is for an event on its way there."""
    if failed < park.attempts:
        return Decision(Fate.PUT_OFF, park.delay(failed + 1, random))
    return Decision(THEN[park.then])


def line_for(job: Job) -> bytes:
    """Name the line that the job would wait in: its lane, by names that outlive the process."""
    assert job.handler is not None  # noqa: S101 -- only a handler's share is parked
    index, *parts = cast("tuple[int, object, object]", job.lane)  # what a handler's share waits in
    handler = job.handler.plan.id if index >= 0 else ""
    return line_of(handler, *(_bytes(part) for part in parts))


def came_back(job: Job) -> bool:
    """Say whether the job waited in the store for its number."""
    return job.parked is not None and job.parked.line.numbered


def parking(job: Job, line: bytes, note: str = "", *, numbered: bool = False) -> Parking:
    """Describe the job for the lot; one that comes from another line leaves that."""
    envelope, handler, order = job.received.envelope, job.handler, job.order
    late = _unwanted(job)
    assert envelope is not None  # noqa: S101 -- only a handler's share is parked
    assert handler is not None  # noqa: S101 -- as above
    return Parking(
        line=line,
        handler=handler.index,
        source=envelope.source,
        id=envelope.id,
        generation=job.received.generation,
        delivery=job.received.delivery,
        advance=None if order is None else order.step,
        note=note,
        number=(order.epoch, order.number) if numbered and order is not None else None,
        stream=order.stream[2] if numbered and order is not None else "",
        leaves=None if job.parked is None or late else job.parked.ticket,
        late=late,
    )


def _unwanted(job: Job) -> bool:
    """Say whether the job's number has been, and its handler wants nothing that comes so late."""
    order, handler = job.order, job.handler
    if order is None or order.past is None or handler is None or handler.gaps is None:
        return False
    return handler.gaps.late != "handle" and not job.received.generation


def conflicts(job: Job) -> None:
    """Have a job buried whose id is that of another event in the lot (I10)."""
    job.reason, job.error = Reason.ID_CONFLICT, id_conflict(job.received.envelope)


def _bytes(part: object) -> bytes:
    if isinstance(part, bytes):
        return b"b" + part
    return b"n" if part is None else b"s" + str(part).encode("utf-8", "surrogatepass")
