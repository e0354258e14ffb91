"""What a handler may look like, as type checkers are told.

Python's types know neither "and" nor "not". "And" is an overloaded ``__call__``: only a function
that fits every overload fits the protocol. One overload takes the function's own parameters over,
so that ``on`` returns the very type that it was given; the other asks for what a handler must
take. "Not" is ``Provided``, which every class is but Context: without it, a handler that asks for
another store's transaction would pass as one with a dependency.

A shape can neither skip nor name a parameter. Therefore a Context is looked for in the second and
third place only, and what is asked for by keyword alone passes behind a Context or a third
parameter; start-up looks at all of it again, by the annotations.
"""

# ruff: noqa: ANN401 -- only "*args: Any, **kwargs: Any" together mean "whatever else"
# A checker that derives the variance of overloads with a ParamSpec gets it the wrong way round.
# pyright: reportInvalidTypeVarUse=false

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, ParamSpec, Protocol, overload

from typing_extensions import TypeVar

from choreo.context import Context
from choreo.event import Event
from choreo.plan import Options, Plan, plan

Emitted = Event | Iterable[Event] | None
Result = Awaitable[Emitted] | AsyncIterator[Event] | Emitted
"""What a handler may return: events it emits, now, awaited or one after the other."""


class Provided(Protocol):
    """Anything but a Context, which alone cannot be reduced."""

    def __reduce__(self) -> str | tuple[Any, ...]: ...


class Mimic:
    """What mypy takes for an instance of every Protocol; it holds none of them for ``Provided``."""

    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...


P = ParamSpec("P")
R = TypeVar("R", bound=Result)
E = TypeVar("E", bound=Event)
D1 = TypeVar("D1", bound=Provided | type[object])
D2 = TypeVar("D2", bound=Provided | type[object])
T_co = TypeVar("T_co", covariant=True, default=object)
R_co = TypeVar("R_co", covariant=True)
First_contra = TypeVar("First_contra", contravariant=True)
Second_contra = TypeVar("Second_contra", contravariant=True)
Third_contra = TypeVar("Third_contra", contravariant=True)


class TakesOne(Protocol[P, R_co, First_contra]):
    """A function of one argument."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, first: First_contra, /) -> object: ...


class TakesTwo(Protocol[P, R_co, First_contra, Second_contra]):
    """A function of two arguments."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, first: First_contra, second: Second_contra, /) -> object: ...


class TakesTwoOrMore(Protocol[P, R_co, First_contra, Second_contra]):
    """A function of two arguments and whatever else."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self, first: First_contra, second: Second_contra, /, *args: Any, **kwargs: Any
    ) -> object: ...


class TakesThreeOrMore(Protocol[P, R_co, First_contra, Second_contra, Third_contra]):
    """A function of three arguments and whatever else."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self,
        first: First_contra,
        second: Second_contra,
        third: Third_contra,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> object: ...


class Registration(Generic[E, T_co]):
    """The decorator that ``on`` makes: registers a handler of E and returns it unchanged.

    Handlers ask for dependencies by position. Keyword-only ones work as well, but behind anything
    but a Context type checkers do not know it.
    """

    def __init__(self, add: Callable[[Plan], None], event: type[E], options: Options) -> None:
        self._add = add
        self._event = event
        self._options = options

    # The last one is what a checker explains when none fits.
    @overload
    def __call__(self, handler: TakesOne[P, R, E], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, handler: TakesTwo[P, R, E, D1], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, handler: TakesThreeOrMore[P, R, E, D1, Mimic], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, handler: TakesThreeOrMore[P, R, E, D1, D2], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, handler: TakesTwoOrMore[P, R, E, Mimic], /) -> Callable[P, R]: ...
    @overload
    def __call__(
        self, handler: TakesThreeOrMore[P, R, E, D1, Context[T_co]], /
    ) -> Callable[P, R]: ...
    @overload
    def __call__(self, handler: TakesTwoOrMore[P, R, E, Context[T_co]], /) -> Callable[P, R]: ...
    def __call__(self, handler: Callable[..., Result], /) -> Callable[..., Result]:
        """Register *handler*; raise ConfigurationError if it could not work."""
        self._add(plan(handler, self._event, self._options))
        return handler
