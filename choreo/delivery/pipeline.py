"""One event through one handler, composed once at start: decode, filter, call, collect.

The order is fixed and not the user's to rearrange; a stage that a handler does not need is not
there.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, cast

from choreo.context import Context, Emit, Emitted, Site, current
from choreo.delivery.books import Books
from choreo.delivery.job import Job, Outcome, Process
from choreo.delivery.outgoing import Outgoing
from choreo.delivery.tracing import Tracer
from choreo.envelope import Envelope
from choreo.errors import ConfigurationError, LateEmit, UndeclaredEmit
from choreo.event import Event, event_type
from choreo.failpoints import armed, reached
from choreo.ids import derived
from choreo.message import Message
from choreo.middleware import Call, Middleware
from choreo.plan import Kind, Plan
from choreo.store.port import Verdict

Invoke = Callable[[Event, Context], Awaitable[object]]

Decode = Callable[[Envelope], Event]

Gather = Callable[[Context, object], Sequence[Message]]
"""Takes what an attempt returned and emitted, and writes it."""

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
) -> Process:
    """Compose the coroutine function that takes *plan*'s handler through one attempt."""
    prepare = _preparer(plan, _announced(decode))
    invoke, gather = _invoker(plan, provided, parts), _gatherer(parts.outgoing)
    attempt = _attempter(plan, prepare, invoke, gather, parts)
    if plan.transaction is not None:
        return _transacted(prepare, attempt, parts.books)
    if plan.options.lease is not None:
        return _leased(prepare, attempt, parts.books)

    return attempt


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
        async with books.effect(job) as effect:
            if effect.verdict is Verdict.WRITTEN:
                reached("claimed")
                await attempt(job, event, effect.transaction)
                if job.run != run:  # abandoned: what it wrote is rolled back
                    return None
            outcome = await books.complete(job, effect)
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


def _preparer(plan: Plan, decode: Decode) -> Prepare:
    """Decode, and filter where the handler wants only some; None for what it does not want."""
    when = plan.options.when
    purpose = event_type(plan.event).idempotency_key

    def prepare(job: Job) -> Event | None:
        envelope = job.received.envelope
        assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
        event = decode(envelope)
        if when is not None and not when(event):
            return None
        if purpose is not None:
            value: object = getattr(event, purpose)
            job.purpose = None if value is None else str(value)
        return event

    return prepare


def _attempter(
    plan: Plan, prepare: Prepare, invoke: Invoke, gather: Gather, parts: Parts
) -> Attempt:
    """Compose what calls the handler once and keeps what it emitted, unless it was abandoned."""
    site = Site(parts.service, plan.id, _emitter(plan, parts))
    ended = replace(site, emit=_too_late)
    trace = parts.tracer.process if parts.tracer is not None else None
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
        outbound: Sequence[Message] = ()
        try:
            if armed:
                reached("handling")
            result = await invoke(event, context)
            kept = context._emitted  # noqa: SLF001 -- the pipeline owns the context it made
            if result is not None or kept or armed:
                outbound = gather(context, result)
        finally:
            leave(token)
            context.site = ended
            if following is not None:
                following.end(sys.exception())
        if job.run == run:
            job.done = True
            if outbound:
                job.emitted, job.outbound = context.emitted, outbound
        return None

    return attempt


def _gatherer(outgoing: Outgoing) -> Gather:
    """Compose what takes what a handler returned for emitted, and writes all that it emitted."""

    def gather(context: Context, result: object) -> Sequence[Message]:
        if result is not None:
            _collect(context, result)
        emitted = context.emitted
        outbound = outgoing.caused(emitted, context.envelope) if emitted else ()
        reached("handled")
        return outbound

    return gather


def _emitter(plan: Plan, parts: Parts) -> Emit:
    source, kept, emits = parts.outgoing.source, parts.books.durable, plan.emits

    def emit(context: Context, event: Event, delay: timedelta | None) -> str:
        if type(event) not in emits:
            raise UndeclaredEmit(
                f"handler {plan.id} emitted {type(event).__name__} undeclared: name it in "
                f"the return type or in on(…, publishes=[{type(event).__name__}]) at {plan.where}"
            )
        if delay is not None and not kept:
            raise ConfigurationError(
                f"handler {plan.id} delayed {type(event).__name__}, and service {parts.service} "
                "has no store where it could wait: give it store='sqlite:///…' or "
                "'postgresql://…', in tests 'memory://'"
            )
        envelope = context.envelope
        identity = derived(source, envelope.source, envelope.id, plan.id, len(context.emitted))
        context.emitted.append(Emitted(identity, event, delay))
        return identity

    return emit


def _too_late(context: Context, event: Event, _delay: timedelta | None) -> str:
    raise LateEmit(
        f"handler {context.handler} emitted {type(event).__name__} when its attempt had ended: "
        "await the tasks that it starts before it returns"
    )


def _collect(context: Context, result: Any) -> None:  # noqa: ANN401 -- whatever a handler returned
    """Emit what a handler returned: one event, or several."""
    if isinstance(result, Event):
        context.site.emit(context, result, None)
        return
    events = result
    if not isinstance(events, Iterable) or isinstance(events, str | bytes):
        events = (events,)
    for event in cast("Iterable[object]", events):
        if not isinstance(event, Event):
            raise UndeclaredEmit(
                f"handler {context.handler} emitted a {type(event).__name__}, which is no event"
            )
        context.site.emit(context, event, None)


def _invoker(plan: Plan, provided: Mapping[str, object], parts: Parts) -> Invoke:
    """Compose the call with what the user has put around it."""
    invoke = _caller(plan, provided, parts.threads)
    return _wrapped(invoke, parts.middlewares) if parts.middlewares else invoke


def _caller(plan: Plan, provided: Mapping[str, object], threads: Executor) -> Invoke:
    """Pick the shortest way to call the handler."""
    call = _arguments(plan, provided)
    if plan.kind is Kind.ASYNC:
        return cast("Invoke", call)
    if plan.kind is Kind.STREAM:
        return _streaming(call)

    async def in_thread(event: Event, context: Context) -> object:
        within = copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            threads, lambda: within.run(_to_the_end, call, event, context)
        )

    return in_thread


def _to_the_end(call: Callable[[Event, Context], Any], event: Event, context: Context) -> object:
    """Call a plain function; what it returns lazily is its work, too, and done in its thread."""
    try:
        result = call(event, context)
        return list(cast("Iterator[object]", result)) if isinstance(result, Iterator) else result
    except StopIteration as error:
        # No future can carry one: it would never be done, and its lane held for ever.
        raise RuntimeError("a handler raised StopIteration") from error


def _streaming(call: Callable[[Event, Context], Any]) -> Invoke:
    async def stream(event: Event, context: Context) -> None:
        generator = call(event, context)
        try:
            async for emitted in generator:
                _collect(context, emitted)
        finally:
            await generator.aclose()

    return stream


def _arguments(plan: Plan, provided: Mapping[str, object]) -> Callable[[Event, Context], Any]:
    function: Callable[..., Any] = plan.function
    name = plan.context
    if not provided:
        if name is None:
            return lambda event, _: function(event)
        return lambda event, context: function(event, **{name: context})
    if name is None:
        return lambda event, _: function(event, **provided)
    return lambda event, context: function(event, **{name: context}, **provided)


def _wrapped(invoke: Invoke, middlewares: Sequence[Middleware]) -> Invoke:
    """Put *middlewares* around the call, the first outermost."""

    async def wrapped(event: Event, context: Context) -> object:
        result: list[object] = []

        async def innermost(inner: Context) -> None:
            before = len(inner.emitted)
            try:
                result[:] = [await invoke(event, inner)]
            except BaseException:
                del inner.emitted[before:]  # the next call, if one is made, emits them again
                raise

        call: Call = innermost
        for middleware in reversed(middlewares):
            call = partial(_step, middleware, call)
        await call(context)
        return result[0] if result else None

    return wrapped


async def _step(middleware: Middleware, call: Call, context: Context) -> None:
    await middleware(context, call)
