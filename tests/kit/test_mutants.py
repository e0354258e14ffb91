"""The contract is itself tested: it passes the true adapter and fails every broken one."""

import asyncio
import inspect
from types import ModuleType

import pytest

from choreo.testing.contract import BrokerContract, verify
from tests.kit import broken_brokers, broken_consumers, broken_habits, broken_outages
from tests.kit.setups import setup_for
from tests.kit.wrapper import Wrapper

UNTRIED = {
    # A log in memory keeps no last values, has no topic levels, and never deletes what is unread.
    "test_a_kept_value_comes_to_those_who_ask_for_it",
    "test_a_wildcard_takes_one_level",
    "test_browsing_reads_kept_values_where_nothing_else_is_kept",
    "test_what_was_deleted_unread_is_told_as_a_gap_and_reading_goes_on",
}
"""Tests that no broken adapter here can fail; real brokers run them."""


def mutants(module: ModuleType) -> list[type[Wrapper]]:
    """List the broken adapters in *module*."""
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Wrapper) and kind.__module__ == module.__name__
    ]


def guards(kind: type[Wrapper]) -> tuple[str, ...]:
    """Name the tests of the contract that must fail *kind*."""
    return tuple(vars(kind)["caught_by"])


MUTANTS = [
    *mutants(broken_brokers),
    *mutants(broken_consumers),
    *mutants(broken_habits),
    *mutants(broken_outages),
]


@pytest.mark.timeout(60)
async def test_the_contract_passes_an_adapter_that_changes_nothing() -> None:
    verdict = await verify(BrokerContract, lambda: setup_for(Wrapper))

    assert verdict.failed == {}
    assert len(verdict.passed) > 50


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
async def test_the_contract_fails_an_adapter_that_is_wrong(kind: type[Wrapper]) -> None:
    expected = guards(kind)

    verdict = await verify(BrokerContract, lambda: setup_for(kind, 0.25), only=expected, limit=1)
    await _end_tasks()

    assert sorted(verdict.failed) == sorted(expected), kind.__doc__


def test_every_test_of_the_contract_is_failed_by_a_broken_adapter() -> None:
    tests = {name for name in dir(BrokerContract) if name.startswith("test_")}

    proven = {guard for kind in MUTANTS for guard in guards(kind)}

    assert proven == tests - UNTRIED


async def _end_tasks() -> None:
    """End what a broken adapter left running."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
        await asyncio.wait([task])
