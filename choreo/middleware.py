"""What users put around every attempt of every handler of a service."""

from collections.abc import Awaitable, Callable

from choreo.context import Context

Call = Callable[[Context], Awaitable[None]]
"""Goes on to the next middleware, and at last to the handler."""

Middleware = Callable[[Context, Call], Awaitable[None]]
"""Wraps every attempt: ``async def timed(ctx, call): … await call(ctx) …``."""
