"""Who asks for a transaction, and how: read, and refused, where a handler is registered.

What type checkers say of the same is in tests/typing/transactions.py.
"""

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

import pytest

from choreo import ConfigurationError, Context, Event, Router, Service
from choreo.context import Site
from choreo.envelope import Envelope
from choreo.message import Delivery
from choreo.plan import Plan

T = TypeVar("T")


class Placed(Event, topic="orders", key="order"):
    order: str


class Sql: ...


class Session(Generic[T]): ...


class Gateway: ...


async def nothing(_: Placed) -> None: ...


async def plain(_: Placed, ctx: Context) -> None: ...


async def plain_by_its_full_name(_: Placed, ctx: Context[object]) -> None: ...


async def of_no_store(_: Placed, ctx: Context[None]) -> None: ...


async def transactional(_: Placed, ctx: Context[Sql]) -> None: ...


async def behind_dependencies(_: Placed, gateway: Gateway, *, ctx: Context[Sql]) -> None: ...


def in_a_thread(_: Placed, ctx: Context[Session[Sql]]) -> None: ...


class Charging:
    async def __call__(self, _: Placed, ctx: Context[Sql]) -> None: ...


ASKING: list[tuple[Callable[..., Any], type[object] | None]] = [
    (nothing, None),
    (plain, None),
    (plain_by_its_full_name, None),
    (of_no_store, None),
    (transactional, Sql),
    (behind_dependencies, Sql),
    (in_a_thread, Session),
    (Charging(), Sql),
]


@pytest.mark.parametrize(("handler", "asked"), ASKING)
def test_a_handler_asks_for_a_transaction_by_the_annotation_of_its_context(
    handler: Callable[..., Any], asked: type[object] | None
) -> None:
    assert planned(handler).transaction is asked


async def perhaps(_: Placed, ctx: Context[Sql] | None = None) -> None: ...


async def perhaps_plain(_: Placed, ctx: Context | None) -> None: ...


async def one_of_two(_: Placed, ctx: Context[Sql | Gateway]) -> None: ...


async def anything(_: Placed, ctx: Context[Any]) -> None: ...


async def generic(_: Placed, ctx: Context[T]) -> None: ...


async def two_contexts(_: Placed, ctx: Context, other: Context[Sql]) -> None: ...


REFUSED: list[tuple[Callable[..., Any], str]] = [
    (perhaps, r"'ctx' is .*, but a handler always gets its context: annotate Context"),
    (perhaps_plain, "always gets its context"),
    (one_of_two, "names no class"),
    (anything, "names no class"),
    (generic, "names no class"),
    (two_contexts, "'ctx' and 'other' both ask for the Context"),
]


@pytest.mark.parametrize(("handler", "complaint"), REFUSED)
def test_a_context_that_could_not_be_given_is_refused_at_registration(
    handler: Callable[..., Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"handler {handler.__name__}: .*{complaint}"):
        planned(handler)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"on_failure": "retry"}, "'retry': give one of 'dead_letter', 'park', 'halt'"),
        ({"on_failure": None}, "on_failure=None: give one of"),
        ({"on_failure": ["park"]}, "give one of"),
        ({"lease": 30}, "lease=30: give a timedelta"),
        ({"lease": timedelta(0)}, "leave it some time"),
        ({"lease": timedelta(seconds=-1)}, "leave it some time"),
    ],
)
def test_a_wrong_policy_or_lease_is_refused_at_registration(
    options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        planned(nothing, **options)


def test_effects_are_inside_of_the_store_or_outside_of_it() -> None:
    """A lease guards what a transaction cannot hold: both at once say neither (I4, I5)."""
    with pytest.raises(
        ConfigurationError, match=r"lease= is .*, and Context\[Sql\] .* or the other"
    ):
        planned(transactional, lease=timedelta(seconds=30))

    assert planned(plain, lease=timedelta(seconds=30)).options.lease == timedelta(seconds=30)


def test_an_event_that_fails_is_dead_lettered_unless_its_handler_says_otherwise() -> None:
    assert planned(nothing).options.on_failure == "dead_letter"
    assert planned(nothing, on_failure="park").options.on_failure == "park"


def test_a_transaction_that_nobody_asked_for_is_not_there_and_says_how_to_ask() -> None:
    with pytest.raises(ConfigurationError, match=r"annotate ctx: Context\[SqlTransaction\]"):
        _ = context().transaction


def test_a_context_gives_the_transaction_it_was_made_with() -> None:
    transaction = Sql()

    assert context(transaction).transaction is transaction


def test_a_context_does_not_leave_its_process() -> None:
    made = context()

    with pytest.raises(TypeError):
        pickle.dumps(made)


def test_a_router_with_a_transaction_is_made_and_included_like_any_other() -> None:
    router = Router[Sql]()
    shop = Service[Sql]("shop")
    router.on(Placed)(transactional)

    shop.include(router)

    assert [plan.transaction for plan in shop.plans] == [Sql]


def planned(handler: Callable[..., Any], **options: Any) -> Plan:  # noqa: ANN401 -- wrong at times
    router = Router[Any]()
    router.on(Placed, id=getattr(handler, "__name__", "charging"), **options)(handler)
    (plan,) = router.plans
    return plan


def context(transaction: Sql | None = None) -> Context[Sql]:
    envelope = Envelope(id="1", source="urn:test", type="Placed", data=None)
    site = Site("shop", "charge", unheard)
    return Context(envelope, Delivery("t", b""), 1, site, _transaction=transaction)


def unheard(_: Context, __: Event, ___: object) -> str:
    raise AssertionError
