"""Registration: which function reacts to which event, kept until a service takes it over."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from typing import Generic

from typing_extensions import TypeVar

from choreo.declaration import is_class_of, require_manager
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.gaps import Gaps
from choreo.park import Park
from choreo.plan import OnFailure, Options, Plan
from choreo.provision import fits
from choreo.retry import Retry
from choreo.signature import Registration

E = TypeVar("E", bound=Event)
D = TypeVar("D")
T = TypeVar("T", default=object)
T_co = TypeVar("T_co", covariant=True, default=object)

Factory = Callable[
    [], D | Awaitable[D] | AbstractAsyncContextManager[D] | AbstractContextManager[D]
]


class Reactions(Generic[T_co]):
    """Handlers of events, with their dependencies; they may ask for T as their transaction."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}
        self._provided: dict[type[object], object] = {}

    @property
    def plans(self) -> Sequence[Plan]:
        """The handlers in order of registration."""
        return tuple(self._plans.values())

    @property
    def provided(self) -> dict[type[object], object]:
        """Values and factories by the type they provide."""
        return dict(self._provided)

    def on(  # noqa: PLR0913 -- what is said of one handler, all of it by name
        self,
        event: type[E],
        /,
        *,
        id: str | None = None,  # noqa: A002 -- the field's word
        retry: Retry | None = None,
        deadline: timedelta | None = None,
        publishes: Sequence[type[Event]] = (),
        when: Callable[[E], bool] | None = None,
        on_failure: OnFailure | Park = "dead_letter",
        lease: timedelta | None = None,
        gaps: Gaps | None = None,
    ) -> Registration[E, T_co]:
        """Register the decorated function as a handler of *event*, and return it unchanged.

        *id* is the handler's identity in derived ids and duplicates, its function's name by
        default: renaming a function without keeping its id makes it a new handler. *publishes*
        declares what it emits beside its return type; *when* wants only some events.

        *on_failure* is what becomes of an event whose retries are used up: ``dead_letter`` puts it
        aside and goes on, ``park`` keeps it in the store and its key's later events behind it (see
        ``Park``), ``halt`` stops the service. *gaps* says how numbered events are put in order.
        *lease* is for effects outside of the store: the event is claimed there before the handler
        runs, and as long as it does; another process that has it meanwhile waits.

        Raises ConfigurationError for a handler that could not work.
        """
        _check(event, publishes)
        options = Options(
            id=id,
            retry=retry,
            deadline=deadline,
            publishes=tuple(publishes),
            when=when,
            on_failure=on_failure,
            lease=lease,
            gaps=gaps,
        )
        return Registration(self._add, event, options)

    def provide(self, kind: type[D], value: D | Factory[D], /) -> None:
        """Give handlers that ask for *kind* this value, or what this factory makes at start.

        A factory may return the value, await it, or be a (async) context manager that is left when
        the service stops. One value serves all handlers of the service.
        """
        if kind in self._provided:
            raise ConfigurationError(f"{kind.__name__} is provided twice")
        if not fits(value, kind) and not callable(value):
            raise ConfigurationError(
                f"provide({kind.__name__}, …): neither a {kind.__name__} nor a factory"
            )
        require_manager(value, f"provide({kind.__name__}, …)")
        self._provided[kind] = value

    def include(self, router: "Router[T_co] | Router", /) -> None:
        """Take over all handlers and dependencies of *router*."""
        for handler in router.plans:
            self._add(handler)
        for kind, value in router.provided.items():
            if kind in self._provided and self._provided[kind] is not value:
                raise ConfigurationError(f"{kind.__name__} is provided twice")
            self._provided[kind] = value

    def _add(self, handler: Plan) -> None:
        known = self._plans.get(handler.id)
        if known is not None:
            raise ConfigurationError(
                f"two handlers are called {handler.id!r} ({known.where} and {handler.where}): "
                "give one of them on(…, id='…')"
            )
        self._plans[handler.id] = handler


class Router(Reactions[T]):
    """A set of handlers and dependencies that a service, or another router, includes.

    Handlers of a ``Router[SqlTransaction]`` may ask for that transaction, and it fits services
    that give it; a plain one fits all.
    """

    # T is invariant here: a service that gives more fits wherever one that gives less does, but
    # a router that asks for more does not.


def _check(event: object, publishes: object) -> None:
    if not is_class_of(event, Event):
        raise ConfigurationError(
            f"on({event!r}): name an event class, as in @service.on(OrderPlaced)"
        )
    if is_class_of(publishes, Event):
        raise ConfigurationError("on(…, publishes=…): give a list, as in publishes=[PaymentTaken]")
