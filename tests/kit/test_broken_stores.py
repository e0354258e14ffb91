"""The contract of stores is itself tested: it passes the true one and fails every broken one."""

import inspect
from types import ModuleType

import pytest

from choreo.store.memory.ledger import MemoryLedger
from choreo.store.memory.outbox import MemoryOutbox
from choreo.testing.contract import StoreContract, verify
from tests.kit import (
    broken_books,
    broken_effects,
    broken_keys,
    broken_leases,
    broken_lines,
    broken_orders,
    broken_outboxes,
    broken_stores,
)
from tests.kit.broken_stores import Mutant, OrderPart, Wrapped, setup_for


def mutants(module: ModuleType) -> list[Mutant]:
    """List the broken stores and ledgers in *module*."""
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, MemoryLedger | MemoryOutbox | Wrapped | OrderPart)
        and kind.__module__ == module.__name__
        and "caught_by" in vars(kind)
    ]


def guards(kind: Mutant) -> tuple[str, ...]:
    """Name the tests of the contract that must fail *kind*."""
    return tuple(vars(kind)["caught_by"])


MUTANTS = [
    mutant
    for module in (
        broken_books,
        broken_keys,
        broken_effects,
        broken_leases,
        broken_lines,
        broken_orders,
        broken_outboxes,
        broken_stores,
    )
    for mutant in mutants(module)
]


@pytest.mark.timeout(60)
async def test_the_contract_passes_a_store_that_changes_nothing() -> None:
    verdict = await verify(StoreContract, lambda: setup_for(Wrapped))

    assert verdict.failed == {}
    assert len(verdict.passed) > 120


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
async def test_the_contract_fails_a_store_that_is_wrong(kind: Mutant) -> None:
    expected = guards(kind)

    verdict = await verify(StoreContract, lambda: setup_for(kind), only=expected, limit=1)

    assert sorted(verdict.failed) == sorted(expected), kind.__doc__


def test_every_test_of_the_contract_is_failed_by_a_broken_store() -> None:
    tests = {name for name in dir(StoreContract) if name.startswith("test_")}

    assert {guard for kind in MUTANTS for guard in guards(kind)} == tests
