"""How handlers are called: the shortest way to the function, and what users put around it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Any, cast

from choreo.context import Context
from choreo.delivery.emitting import collect
from choreo.event import Event
from choreo.middleware import Call, Middleware
from choreo.plan import Kind, Plan

Invoke = Callable[[Event, Context], Awaitable[object]]


def invoker(
    plan: Plan,
    provided: Mapping[str, object],
    middlewares: Sequence[Middleware],
    threads: Executor,
) -> Invoke:
    """Compose the call with what the user has put around it."""
    invoke = _caller(plan, provided, threads)
    return _wrapped(invoke, middlewares) if middlewares else invoke


def alone(
    plan: Plan, provided: Mapping[str, object]
) -> Callable[[Event], Awaitable[object]] | None:
    """Find the function that needs nothing but the event; None where it asks for more."""
    if provided or plan.context or plan.kind is not Kind.ASYNC:
        return None
    return cast("Callable[[Event], Awaitable[object]]", plan.function)


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
                collect(context, emitted)
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
