"""The contract is itself tested: it passes the true adapter and fails every broken one."""

import asyncio
import inspect
from types import ModuleType

import pytest

from choreo.broker import Broker
from choreo.testing.contract import BrokerContract, BrokerSetup, fresh_name, verify
from choreo_memory import MemoryBroker
from tests.kit import broken_brokers, broken_consumers
from tests.kit.wrapper import Wrapper


def setup_for(kind: type[Wrapper], patience: float) -> BrokerSetup:
    """Describe a log of its own, reached through *kind*."""
    url = f"memory://{fresh_name()}?max_message_bytes=1500000"
    log = MemoryBroker(url)

    def build() -> Wrapper:
        assert log.url in url  # and so the log lives as long as the setup does
        return kind(url)

    return BrokerSetup(open=build, crash=crash, patience=patience, quiet=0.02, idle=0.05)


async def crash(broker: Broker) -> None:
    """Kill *broker*."""
    assert isinstance(broker, Wrapper)
    broker.crash()


def mutants(module: ModuleType) -> list[type[Wrapper]]:
    """List the broken adapters in *module*."""
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Wrapper) and kind is not Wrapper
    ]


MUTANTS = [*mutants(broken_brokers), *mutants(broken_consumers)]


async def test_the_contract_passes_an_adapter_that_changes_nothing() -> None:
    verdict = await verify(BrokerContract, lambda: setup_for(Wrapper, 2))

    assert verdict.failed == {}
    assert len(verdict.passed) > 50


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
async def test_the_contract_fails_an_adapter_that_is_wrong(kind: type[Wrapper]) -> None:
    guards: tuple[str, ...] = vars(kind)["caught_by"]

    verdict = await verify(BrokerContract, lambda: setup_for(kind, 0.25), only=guards, limit=1)
    await _end_tasks()

    assert sorted(verdict.failed) == sorted(guards), kind.__doc__


async def _end_tasks() -> None:
    """End what a broken adapter left running."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
        await asyncio.wait([task])
