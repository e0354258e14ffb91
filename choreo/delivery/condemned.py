"""Events that killed too many processes: buried unread, unless their effects are known to be there.

A process may die between the commit of an event's effects and the note that the event spared it.
So the books are asked first, and what they know is a duplicate and no dead letter.
"""

from collections.abc import Sequence

from choreo.delivery.attempts import finished, key_of
from choreo.delivery.inbox import Inbox
from choreo.delivery.job import Job
from choreo.errors import CrashSuspect
from choreo.reason import Reason


def condemn(jobs: Sequence[Job], error: CrashSuspect) -> None:
    """Have *jobs* buried; nothing but the envelope of their event is read any more."""
    for job in jobs:
        job.reason, job.error = Reason.CRASHED, error


def absolve(jobs: Sequence[Job], inbox: Inbox[Job]) -> None:
    """Have those of *jobs* that ended before end as duplicates, whatever died since."""
    for job in jobs:
        if job.reason is not Reason.CRASHED or job.handler is None:
            continue
        if finished(inbox, key_of(job, job.handler), job.received):
            job.reason, job.error = None, None
