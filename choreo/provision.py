"""Dependencies by type: whether a value fits the type it is provided for, and how it is made."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from typing import cast

from choreo.errors import ConfigurationError


def fits(value: object, kind: type[object]) -> bool:
    """Say whether *value* is a *kind*, rather than a factory of it.

    A Protocol that cannot be checked at run time is taken at its word: anything but a function or
    a class is a value for it.
    """
    try:
        return isinstance(value, kind)
    except TypeError:
        return not (inspect.isroutine(value) or isinstance(value, type))


async def provide(
    provided: Mapping[type[object], object], stack: AsyncExitStack
) -> dict[type[object], object]:
    """Make every dependency once; what is a context manager is left when *stack* unwinds.

    Raises ConfigurationError for a factory that cannot be called or makes something else.
    """
    return {
        kind: value if fits(value, kind) else await _made(kind, value, stack)
        for kind, value in provided.items()
    }


async def _made(kind: type[object], factory: object, stack: AsyncExitStack) -> object:
    make = cast("Callable[[], object]", factory)
    _check_callable(kind, make)
    result = make()
    if inspect.isawaitable(result):
        result = await result
    if fits(result, kind):
        return result
    if isinstance(result, AbstractAsyncContextManager):
        entered = cast("AbstractAsyncContextManager[object]", result)
        result = await stack.enter_async_context(entered)
    elif isinstance(result, AbstractContextManager):
        result = stack.enter_context(cast("AbstractContextManager[object]", result))
    if not fits(result, kind):
        raise ConfigurationError(
            f"provide({kind.__name__}, …): its factory made a {type(result).__name__}, "
            f"which is no {kind.__name__}"
        )
    return result


def _check_callable(kind: type[object], make: Callable[[], object]) -> None:
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise ConfigurationError(
            f"provide({kind.__name__}, …): its factory is called without arguments ({error})"
        ) from None
    except ValueError:  # a built-in that does not tell its signature
        return
