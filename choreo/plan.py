"""What is known of a handler before any event arrives: resolved, and refused, at registration."""

import inspect
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from choreo.context import Context
from choreo.declaration import is_class_of, require
from choreo.errors import ConfigurationError
from choreo.event import Event, event_type
from choreo.gaps import Gaps
from choreo.park import Park
from choreo.retry import Retry

SEVERAL: frozenset[object] = frozenset(
    {
        list, tuple, Sequence, Iterable, Iterator, Collection,
        AsyncIterator, AsyncIterable, AsyncGenerator,
    }
)  # fmt: skip
"""Return types that hold events."""


OnFailure = Literal["dead_letter", "park", "halt"]
"""What becomes of an event whose retries are used up."""


class Kind(Enum):
    """How a handler is called."""

    ASYNC = "async"
    STREAM = "stream"
    """An async generator: what it yields is emitted."""
    THREAD = "thread"
    """A plain function: runs in a thread, so that it may block."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``on`` was told about a handler, besides its event."""

    id: str | None = None
    retry: Retry | None = None
    deadline: timedelta | None = None
    publishes: tuple[type[Event], ...] = ()
    when: Callable[[Any], bool] | None = None
    on_failure: OnFailure | Park = "dead_letter"
    gaps: Gaps | None = None
    """How numbered events are put in order; None: as their class declares."""
    lease: timedelta | None = None
    """Claim the event in the store for so long before the handler runs, and renew meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One handler of one event class, ready to be composed."""

    id: str
    """Stable identity within the service; part of derived ids and of the inbox."""
    event: type[Event]
    function: Callable[..., object]
    kind: Kind
    context: str | None
    """Name of the parameter that takes the Context."""
    transaction: type[object] | None
    """X of ``Context[X]``: the class that the store's transactions must have; None if not asked."""
    needs: Mapping[str, type[object]]
    """Provided dependencies, by parameter name."""
    optional: frozenset[str]
    """Parameters that have a default and may stay without a provider."""
    emits: frozenset[type[Event]]
    options: Options

    @property
    def where(self) -> str:
        """File and line of the handler, for messages to people."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(self.function)


def plan(function: Callable[..., object], event: type[Event], options: Options) -> Plan:
    """Resolve how *function* handles *event*; raise ConfigurationError for what cannot work."""
    name = options.id or getattr(function, "__name__", None)
    if not name or name == "<lambda>":
        raise ConfigurationError(f"handler {function!r} has no name: give on(…, id='…')")
    event_type(event)
    _check_options(name, options)
    hints = _hints(name, function)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise ConfigurationError(f"handler {name}: its first parameter must take {event.__name__}")
    _check_first(name, parameters[0], hints, event)
    context, needs = _rest(name, parameters[1:], hints)
    transaction = None if context is None else _transaction(name, hints[context])
    if transaction is not None and options.lease is not None:
        raise ConfigurationError(
            f"handler {name}: lease= is for effects outside of the store, and Context"
            f"[{transaction.__name__}] for those within: ask for one or the other"
        )
    optional = frozenset(
        parameter.name for parameter in parameters[1:] if parameter.default is not parameter.empty
    )
    emits = _emits(name, hints.get("return")) | frozenset(_declared(name, options.publishes))
    if not emits and _yields(function):
        raise ConfigurationError(
            f"handler {name} yields and does not say what: annotate it with -> AsyncIterator[…] of "
            "the events, or name them in on(…, publishes=[…])"
        )
    return Plan(
        id=name,
        event=event,
        function=function,
        kind=_kind(function),
        context=context,
        transaction=transaction,
        needs=needs,
        optional=optional,
        emits=emits,
        options=options,
    )


def _check_options(name: str, options: Options) -> None:
    """Refuse what no type checker saw, and what none can see."""
    retry = options.retry
    where = f"handler {name}"
    require(retry, Retry, f"{where}: retry={retry!r}: give a Retry, such as Retry(attempts=3)")
    for option, duration in (("deadline", options.deadline), ("lease", options.lease)):
        require(duration, timedelta, f"{where}: {option}={duration!r}: give a timedelta")
        if duration is not None and duration <= timedelta(0):
            raise ConfigurationError(f"{where}: {option}={duration!r}: leave it some time")
    require(options.gaps, Gaps, f"{where}: gaps={options.gaps!r}: give Gaps, as in Gaps()")
    if not isinstance(options.on_failure, Park) and options.on_failure not in get_args(OnFailure):
        known = ", ".join([*map(repr, get_args(OnFailure)), "Park(…)"])
        raise ConfigurationError(f"{where}: on_failure={options.on_failure!r}: give one of {known}")
    _check_filter(where, options.when)


def _check_filter(where: str, when: object) -> None:
    if when is None:
        return
    if not callable(when):
        raise ConfigurationError(f"{where}: when={when!r}: give a function of the event")
    if _kind(when) is not Kind.THREAD:
        raise ConfigurationError(
            f"{where}: when= is asked between events and cannot wait: give a plain function"
        )


def _hints(name: str, function: Callable[..., object]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except NameError as error:
        raise ConfigurationError(
            f"handler {name}: annotation {error.name!r} cannot be resolved where the handler is "
            "defined; import it at module level"
        ) from error


def _kind(function: Callable[..., object]) -> Kind:
    target = function if inspect.isroutine(function) else type(function).__call__
    if inspect.isasyncgenfunction(target):
        return Kind.STREAM
    return Kind.ASYNC if inspect.iscoroutinefunction(target) else Kind.THREAD


def _yields(function: Callable[..., object]) -> bool:
    target = function if inspect.isroutine(function) else type(function).__call__
    return inspect.isasyncgenfunction(target) or inspect.isgeneratorfunction(target)


def _check_first(
    name: str, first: inspect.Parameter, hints: Mapping[str, Any], event: type[Event]
) -> None:
    if first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD, first.VAR_POSITIONAL):
        raise ConfigurationError(f"handler {name}: its first parameter must be positional")
    annotation = hints.get(first.name)
    if annotation is None:
        raise ConfigurationError(
            f"handler {name}: annotate its first parameter with {event.__name__}"
        )
    accepted = _members(annotation)
    if not any(isinstance(kind, type) and issubclass(event, kind) for kind in accepted):
        shown = getattr(annotation, "__name__", annotation)
        raise ConfigurationError(
            f"handler {name} is registered on {event.__name__} but takes {shown}"
        )


def _rest(
    name: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]
) -> tuple[str | None, dict[str, type[object]]]:
    context: str | None = None
    needs: dict[str, type[object]] = {}
    for parameter in parameters:
        annotation = hints.get(parameter.name)
        if parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
            parameter.POSITIONAL_ONLY,
        ):
            raise ConfigurationError(
                f"handler {name}: parameter {parameter} cannot be provided by type"
            )
        if annotation is None:
            raise ConfigurationError(
                f"handler {name}: annotate {parameter.name!r} with Context or a provided type"
            )
        kind = get_origin(annotation) or annotation
        if kind is Context and context is not None:
            raise ConfigurationError(
                f"handler {name}: {context!r} and {parameter.name!r} both ask for the Context: "
                "there is one"
            )
        if kind is Context:
            context = parameter.name
        elif isinstance(kind, type) and kind is not types.UnionType:
            needs[parameter.name] = kind
        else:
            _refuse(name, parameter.name, annotation)
    return context, needs


def _refuse(name: str, parameter: str, annotation: object) -> NoReturn:
    if any((get_origin(member) or member) is Context for member in _members(annotation)):
        raise ConfigurationError(
            f"handler {name}: {parameter!r} is {annotation}, but a handler always gets its "
            "context: annotate Context, or Context[…] with the class of the store's transactions"
        )
    raise ConfigurationError(
        f"handler {name}: parameter {parameter!r} has type {annotation!r}; "
        "dependencies are provided by class"
    )


def _transaction(name: str, annotation: object) -> type[object] | None:
    """Read X out of ``Context[X]``; None for the plain one, which asks for nothing."""
    (asked,) = get_args(annotation) or (object,)
    if asked in (object, type(None)):
        return None
    kind = get_origin(asked) or asked
    if not isinstance(kind, type) or kind in (Any, types.UnionType):
        raise ConfigurationError(
            f"handler {name}: {annotation} names no class: annotate Context[…] with the class of "
            "the store's transactions"
        )
    return kind


def _members(annotation: object) -> tuple[object, ...]:
    """Split a union into its members; anything else is its own only member."""
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _emits(name: str, annotation: object) -> frozenset[type[Event]]:
    """Read the events out of a return annotation."""
    found: set[type[Event]] = set()
    for member in _members(annotation):
        origin = get_origin(member)
        if member in (None, type(None), Any, inspect.Parameter.empty) or member is Ellipsis:
            continue
        if isinstance(member, type) and issubclass(member, Event):
            found.update(_declared(name, (member,)))
        elif origin in (Awaitable, Coroutine):
            found |= _emits(name, get_args(member)[-1])
        elif origin in SEVERAL:
            arguments = get_args(member)[:1] if origin is AsyncGenerator else get_args(member)
            for argument in arguments:
                found |= _emits(name, argument)
        else:
            raise ConfigurationError(f"handler {name} returns {member!r}, which is no event")
    return frozenset(found)


def _declared(name: str, classes: Iterable[type[Event]]) -> Iterable[type[Event]]:
    for kind in classes:
        if not is_class_of(kind, Event):
            raise ConfigurationError(f"handler {name} publishes {kind!r}, which is no event")
        if kind.__event__ is None:
            raise ConfigurationError(
                f"handler {name} emits {kind.__name__}, which has no topic: name concrete events"
            )
        yield kind
