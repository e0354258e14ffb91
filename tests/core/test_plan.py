from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from choreo.context import Context
from choreo.errors import ConfigurationError
from choreo.event import Event
from choreo.plan import Kind
from choreo.router import Router


class Placed(Event, topic="orders"):
    number: int


class Paid(Event, topic="payments"):
    number: int


class Declined(Event, topic="payments"):
    number: int


class Abstract(Event):
    number: int


class Gateway: ...


def test_on_returns_the_function_itself() -> None:
    router = Router()

    async def charge(order: Placed) -> Paid:
        return Paid(number=order.number)

    assert router.on(Placed)(charge) is charge


def test_a_handler_is_known_by_its_functions_name_or_by_the_id_given_i8() -> None:
    router = Router()

    @router.on(Placed)
    async def charge(_: Placed) -> None: ...

    @router.on(Placed, id="bill")
    async def other(_: Placed) -> None: ...

    assert [plan.id for plan in router.plans] == ["charge", "bill"]


def test_emits_are_read_from_the_return_type_and_from_publishes() -> None:
    router = Router()

    @router.on(Placed)
    async def union(_: Placed) -> Paid | Declined | None: ...

    @router.on(Placed)
    async def several(_: Placed) -> Sequence[Paid | Declined]:
        return []

    @router.on(Placed)
    async def stream(_: Placed) -> AsyncIterator[Paid]:
        yield Paid(number=1)

    @router.on(Placed, publishes=[Declined])
    def plain(_: Placed) -> Iterable[Paid]:
        return []

    emits = {plan.id: plan.emits for plan in router.plans}
    assert emits == {
        "union": {Paid, Declined},
        "several": {Paid, Declined},
        "stream": {Paid},
        "plain": {Paid, Declined},
    }
    kinds = {plan.id: plan.kind for plan in router.plans}
    assert kinds["stream"] is Kind.STREAM
    assert kinds["plain"] is Kind.THREAD


def test_context_and_dependencies_are_found_by_type() -> None:
    router = Router()

    @router.on(Placed)
    async def charge(_: Placed, gateway: Gateway, ctx: Context, limit: int = 3) -> None: ...

    (plan,) = router.plans
    assert plan.context == "ctx"
    assert plan.needs == {"gateway": Gateway, "limit": int}
    assert plan.optional == {"limit"}


def test_a_handler_may_take_a_parent_of_its_event() -> None:
    router = Router()

    @router.on(Placed)
    async def audit(_: Event) -> None: ...

    @router.on(Placed, id="both")
    async def either(_: Placed | Paid) -> None: ...

    assert len(router.plans) == 2


def test_a_callable_object_is_a_handler() -> None:
    class Charge:
        async def __call__(self, order: Placed) -> Paid:
            return Paid(number=order.number)

    router = Router()
    router.on(Placed, id="charge")(Charge())

    (plan,) = router.plans
    assert plan.kind is Kind.ASYNC
    assert plan.emits == {Paid}


def untyped(*_: object) -> None: ...


def fine(_: Placed) -> None: ...


def no_event(_: Paid) -> None: ...


def nothing() -> None: ...


def text(_: Placed) -> str:
    return ""


def parent(_: Placed) -> Abstract | None: ...


def unprovidable(_: Placed, names: "int | str") -> None: ...


def loose(_: Placed, *names: Gateway) -> None: ...


def unresolved(_: Placed, gateway: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821


NAMELESS: Callable[[Placed], None] = lambda _: None  # noqa: E731 -- the case


def keyword(*, order: Placed) -> None: ...


REFUSED: list[tuple[Any, str]] = [
    (untyped, "must be positional"),
    (no_event, "registered on Placed but takes"),
    (nothing, "its first parameter must take Placed"),
    (text, "which is no event"),
    (parent, "which has no topic"),
    (unprovidable, "provided by class"),
    (loose, "cannot be provided by type"),
    (unresolved, "'Missing' cannot be resolved"),
    (keyword, "must be positional"),
    (NAMELESS, "has no name"),
]


@pytest.mark.parametrize(("handler", "complaint"), REFUSED)
def test_a_handler_that_could_not_work_is_refused_at_registration(
    handler: Any,  # noqa: ANN401 -- wrong on purpose
    complaint: str,
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Router().on(Placed)(handler)


async def slow_filter(_: Placed) -> bool:
    return False


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"retry": 3}, "retry=3: give a Retry"),
    ({"deadline": 5}, "deadline=5: give a timedelta"),
    ({"deadline": timedelta(0)}, "leave it some time"),
    ({"when": True}, "when=True: give a function"),
    ({"when": slow_filter}, "cannot wait: give a plain function"),
    ({"publishes": Paid}, r"publishes=\[PaymentTaken\]"),
    ({"publishes": [int]}, "which is no event"),
]


@pytest.mark.parametrize(("options", "complaint"), WRONG_OPTIONS)
def test_an_option_that_could_not_work_is_refused_at_registration(
    options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Router().on(Placed, **options)(fine)


@pytest.mark.parametrize("event", [fine, Placed(number=1), "orders", int])
def test_what_is_no_event_class_is_refused_where_it_is_named(
    event: Any,  # noqa: ANN401 -- wrong on purpose
) -> None:
    with pytest.raises(ConfigurationError, match="name an event class"):
        Router().on(event)


def test_an_event_without_topic_cannot_be_handled_or_emitted() -> None:
    with pytest.raises(ConfigurationError, match="Abstract has no topic"):
        Router().on(Abstract)(no_event)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="has no topic"):
        Router().on(Placed, publishes=[Abstract])(fine)


def test_two_handlers_of_one_name_are_refused_with_both_places_i8() -> None:
    router = Router()

    async def charge(_: Placed) -> None: ...

    router.on(Placed)(charge)
    with pytest.raises(ConfigurationError, match=r"two handlers are called 'charge'.*test_plan"):
        router.on(Paid, id="charge")(no_event)


def test_routers_are_included_with_handlers_and_dependencies() -> None:
    inner, outer = Router(), Router()

    @inner.on(Placed)
    async def charge(_: Placed) -> None: ...

    gateway = Gateway()
    inner.provide(Gateway, gateway)

    outer.include(inner)

    assert [plan.id for plan in outer.plans] == ["charge"]
    assert outer.provided == {Gateway: gateway}
    with pytest.raises(ConfigurationError, match="two handlers are called 'charge'"):
        outer.include(inner)


def test_a_dependency_is_provided_once_and_by_something_usable() -> None:
    router = Router()
    router.provide(Gateway, Gateway())

    with pytest.raises(ConfigurationError, match="provided twice"):
        router.provide(Gateway, Gateway())
    with pytest.raises(ConfigurationError, match="neither a int nor a factory"):
        router.provide(int, "text")  # type: ignore[arg-type]
