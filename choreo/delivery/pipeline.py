"""One event through one handler, composed once at start: decode, filter, call, collect.

The order is fixed and not the user's to rearrange; a stage that a handler does not need is not
there.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol

from choreo.context import Context, Site, current
from choreo.delivery.books import Books
from choreo.delivery.calling import alone, invoker
from choreo.delivery.emitting import collect, emitter, too_late
from choreo.delivery.job import Brief, Composed, Job, Keep, Outcome, Process, nothing
from choreo.delivery.outgoing import Outgoing
from choreo.delivery.tracing import Tracer
from choreo.envelope import Envelope
from choreo.event import Event, event_type
from choreo.failpoints import armed, reached
from choreo.message import Message
from choreo.middleware import Middleware
from choreo.plan import Plan
from choreo.store.outbox import Emission
from choreo.store.port import Verdict

Decode = Callable[[Envelope], Event]

Read = Callable[[Envelope], Event | None]
"""Decodes; None for an event that the handler does not want."""

Prepare = Callable[[Job], Event | None]
"""Decodes; None for an event that the handler does not want."""


class Attempt(Protocol):
    """Calls the handler once, with the prepared event or after preparing it."""

    def __call__(
        self, job: Job, event: Event | None = None, transaction: object = None
    ) -> Awaitable[Outcome | None]:
        """Return FILTERED for an event that is not wanted, None once the handler succeeded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every handler of one service is composed with."""

    service: str
    outgoing: Outgoing
    books: Books
    middlewares: Sequence[Middleware]
    threads: Executor
    tracer: Tracer | None = None


def compose(
    plan: Plan,
    decode: Decode,
    provided: Mapping[str, object],
    parts: Parts,
) -> Composed:
    """Compose what takes *plan*'s handler through one attempt."""
    read = _wanted(plan, _announced(decode))
    prepare = _preparer(plan, read)
    outgoing, kept = parts.outgoing, parts.books.durable
    emit = emitter(plan, parts.service, outgoing.source, kept=kept)
    site, watched = Site(parts.service, plan.id, emit), parts.tracer is not None
    lodge = outgoing.lodger(plan) if kept and not watched else nothing
    brief = Brief(
        read=read,
        invoke=invoker(plan, provided, parts.middlewares, parts.threads),
        keep=_keeper(outgoing, lodge, kept=kept),
        answer=nothing if kept or watched else outgoing.answerer(plan),
        site=site,
        ended=replace(site, emit=too_late),
        follow=parts.tracer.process if parts.tracer is not None else None,
        alone=None if watched or parts.middlewares else alone(plan, provided),
    )
    attempt = _attempter(prepare, brief)
    if plan.transaction is not None:
        return Composed(process=_transacted(prepare, attempt, parts.books))
    if plan.options.lease is not None:
        return Composed(process=_leased(prepare, attempt, parts.books))
    return Composed(process=attempt, brief=brief)


def _leased(prepare: Prepare, attempt: Attempt, books: Books) -> Process:
    """Hold the event against other processes while the handler runs."""

    async def process(job: Job) -> Outcome | None:
        event = prepare(job)
        if event is None:
            return Outcome.FILTERED
        outcome = await books.lease(job)
        if outcome is None and job.reason is None:
            await attempt(job, event)
        return outcome

    return process


def _transacted(prepare: Prepare, attempt: Attempt, books: Books) -> Process:
    """Run the handler in the transaction that its event's end is written in."""

    async def process(job: Job) -> Outcome | None:
        event = prepare(job)
        if event is None:
            return Outcome.FILTERED
        run = job.run
        claim = books.claim(job)
        async with books.effect(claim) as effect:
            if effect.verdict is Verdict.WRITTEN:
                if armed:
                    reached("claimed")
                await attempt(job, event, effect.transaction)
                if job.run != run:  # abandoned: what it wrote is rolled back
                    return None
            outcome = await books.complete(job, claim, effect)
        books.committed(job)
        return outcome

    return process


def _announced(decode: Decode) -> Decode:
    """Arrive at a failpoint after decoding, if any is armed by now."""
    if not armed:
        return decode

    def announced(envelope: Envelope) -> Event:
        event = decode(envelope)
        reached("decoded")
        return event

    return announced


def _wanted(plan: Plan, decode: Decode) -> Read:
    """Decode, and filter where the handler wants only some; None for what it does not want."""
    when = plan.options.when
    if when is None:
        return decode

    def wanted(envelope: Envelope) -> Event | None:
        event = decode(envelope)
        return event if when(event) else None

    return wanted


def _preparer(plan: Plan, read: Read) -> Prepare:
    """Decode, filter, and keep what the business tells events apart by; None if not wanted."""
    purpose = event_type(plan.event).idempotency_key

    def prepare(job: Job) -> Event | None:
        envelope = job.received.envelope
        assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
        event = read(envelope)
        if event is not None and purpose is not None:
            value: object = getattr(event, purpose)
            job.purpose = None if value is None else str(value)
        return event

    return prepare


def _attempter(prepare: Prepare, brief: Brief) -> Attempt:
    """Compose what calls the handler once and keeps what it emitted, unless it was abandoned."""
    invoke, keep, trace = brief.invoke, brief.keep, brief.follow
    site, ended = brief.site, brief.ended
    enter, leave = current.set, current.reset

    async def attempt(
        job: Job, event: Event | None = None, transaction: object = None
    ) -> Outcome | None:
        if event is None and (event := prepare(job)) is None:
            return Outcome.FILTERED
        received, run = job.received, job.run
        envelope = received.envelope
        assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
        context = Context(envelope, received.delivery, job.attempt, site, None, transaction)
        token = enter(context)
        following = trace(job) if trace is not None else None
        emitted: Sequence[Emission] = ()
        outbound: Sequence[Message] = ()
        try:
            if armed:
                reached("handling")
            result = await invoke(event, context)
            # The pipeline owns the context that it made.
            if result is not None or context._emitted or armed:  # noqa: SLF001
                emitted, outbound = keep(context, result)
        finally:
            leave(token)
            context.site = ended
            if following is not None:
                following.end(sys.exception())
        if job.run == run:
            job.done = True
            if outbound:
                job.emitted, job.outbound = emitted, outbound
        return None

    return attempt


def _keeper(
    outgoing: Outgoing, lodge: Callable[[Envelope, object], Emission | None], *, kept: bool
) -> Keep:
    """Compose what takes all that a handler returned and emitted, and writes it.

    *lodge* writes most of what is *kept* in an outbox.
    """

    def keep(context: Context, result: object) -> tuple[Sequence[Emission], Sequence[Message]]:
        emission = None if context._emitted else lodge(context.envelope, result)  # noqa: SLF001 -- as above
        if emission is not None:
            if armed:
                reached("handled")
            return (emission,), (emission.message,)
        if result is not None:
            collect(context, result)
        emitted = context.emitted
        outbound = outgoing.caused(emitted, context.envelope) if emitted else ()
        emissions = outgoing.emissions(emitted, outbound) if kept or armed else ()
        if armed:
            reached("handled")
        return emissions, outbound

    return keep
