"""Dead-lettering: bytes and reason, accepted by the broker before the source is settled."""

import logging
from collections.abc import Sequence

from choreo.broker import Capabilities
from choreo.clock import Clock
from choreo.dead_letter import Failure, bury, dead_letter_topic, is_dead_letter_topic
from choreo.delivery.job import Job
from choreo.delivery.publisher import Publisher, Told
from choreo.delivery.tracing import Tracer, followed
from choreo.errors import (
    DecodeError,
    EncodeError,
    HandlerTimeout,
    PublishError,
    Reject,
    UndeclaredEmit,
    UnknownVersion,
)
from choreo.message import Delivery, Message
from choreo.packing import Form
from choreo.reason import Reason
from choreo.replay import Replayed

logger = logging.getLogger(__name__)

REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (Reject, Reason.REJECTED),
    (UndeclaredEmit, Reason.UNDECLARED_EMIT),
    (EncodeError, Reason.UNDECLARED_EMIT),
    (UnknownVersion, Reason.UNKNOWN_VERSION),
    (DecodeError, Reason.SCHEMA),
    (HandlerTimeout, Reason.TIMEOUT),
)
"""Why an event is given up after these errors, the narrower class first."""
NAMED = tuple(kind for kind, _ in REASONS)


class Burial:
    """Sends what cannot be handled to the dead letters of one service."""

    def __init__(
        self,
        service: str,
        publisher: Publisher,
        capabilities: Capabilities,
        clock: Clock,
        tracer: Tracer | None = None,
        *,
        stack: bool = False,
    ) -> None:
        self._service = service
        self._publisher = publisher
        self._capabilities = capabilities
        self._clock = clock
        self._tracer = tracer
        self._stack = stack

    async def bury(self, job: Job) -> None:
        """Return once the broker has the dead letter; raise BrokerError otherwise.

        What came from this service's own dead letters stays there and is not written again (D3).
        """
        delivery = job.received.delivery
        if self._stays(delivery):
            self._log(job, "an event of the dead letters failed again and stays there")
            return
        failure = self._failure(job)
        following = self._tracer.bury(job) if self._tracer is not None else None
        trace = following.traceparent if following is not None else None
        # Not at the first refusal: it may have been the topic's, and gone by the next try.
        forms = tuple(Form) if job.troubles else (Form.PLAIN,)
        sending = self._send(delivery, failure, trace, forms)
        await (sending if following is None else followed(following, sending))
        self.buried(job)

    def hand_in(self, job: Job, told: Told[Job]) -> bool:
        """Send the letter soon, with others, and call *told* then: False if it must be awaited.

        It must be if somebody follows it, or if the broker has refused it before.
        """
        delivery = job.received.delivery
        if self._tracer is not None or job.troubles or self._stays(delivery):
            return False
        self._publisher.hand_in_unwritten(self._letter, told, job)
        return True

    def _letter(self, job: Job) -> Sequence[Message]:
        return (bury(job.received.delivery, self._failure(job), self._capabilities),)

    def buried(self, job: Job) -> None:
        """Write down that the broker has the letter."""
        self._log(job, "event went to the dead letters")

    def _failure(self, job: Job) -> Failure:
        delivery = job.received.delivery
        handler = job.handler.plan.id if job.handler else None
        if handler is None and isinstance(delivery, Replayed):
            handler = delivery.handler
        return Failure(
            reason=job.reason or Reason.HANDLER_ERROR,
            service=self._service,
            at=self._clock.now(),
            handler=handler,
            attempts=job.attempt,
            first_failed=job.first_failed,
            error=job.error,
            stack=self._stack,
        )

    def _stays(self, delivery: Delivery) -> bool:
        return is_dead_letter_topic(delivery.topic) and self._own(delivery.topic)

    async def _send(
        self, delivery: Delivery, failure: Failure, trace: str | None, forms: Sequence[Form]
    ) -> None:
        """Send the letter in the first of *forms* that the broker takes."""
        refusals: list[PublishError] = []
        for form in forms:
            letter = bury(delivery, failure, self._capabilities, traceparent=trace, form=form)
            try:
                await self._publisher.publish((letter,))
            except PublishError as error:
                if error.unknown or not error.refused:
                    raise
                refusals.append(error)
            else:
                return
        raise refusals[0]

    def _log(self, job: Job, text: str) -> None:
        if logger.isEnabledFor(logging.ERROR):
            names = {**job.names, "reason": job.reason, "service": self._service}
            logger.error(text, extra=names)

    def _own(self, topic: str) -> bool:
        name = dead_letter_topic(self._service)
        return topic == name or topic.startswith(f"choreo/dlq/{self._service}/")


def reason_for(error: BaseException, attempts: int) -> Reason:
    """Name why an event is given up after *error* on its last attempt."""
    if isinstance(error, NAMED):
        return next(reason for kind, reason in REASONS if isinstance(error, kind))
    return Reason.RETRIES_EXHAUSTED if attempts > 1 else Reason.HANDLER_ERROR
