"""The contract fits adapters that memory:// is not: remote ones and those of few capabilities."""

import asyncio

import pytest

from choreo.broker import Broker
from choreo.testing.contract import BrokerContract, BrokerSetup, fresh_name, verify
from choreo.testing.contract.outages import Outages
from choreo_memory import MemoryBroker
from tests.kit import broken_outages
from tests.kit.test_mutants import crash
from tests.kit.weather import Humble, Remote, Sky


def remote_setup(kind: type[Remote], *, patience: float = 2) -> BrokerSetup:
    """Describe a log that can be cut off."""
    log = MemoryBroker(f"memory://{fresh_name()}")
    sky, away = Sky(), Sky()
    sky.up.set()

    def build() -> Remote:
        return kind(log.url, sky)

    def nowhere() -> Remote:
        return kind(log.url, away)

    async def restart() -> None:
        async with sky.outage():
            await asyncio.sleep(0.01)

    return BrokerSetup(
        open=build,
        crash=crash,
        outage=sky.outage,
        restart=restart,
        unreachable=nowhere,
        patience=patience,
        quiet=0.02,
        idle=0.05,
    )


class TestRemote(BrokerContract):
    @pytest.fixture
    def setup(self) -> BrokerSetup:
        return remote_setup(Remote)


class TestHumble(BrokerContract):
    @pytest.fixture
    def setup(self) -> BrokerSetup:
        log = MemoryBroker(f"memory://{fresh_name()}")

        def build() -> Broker:
            return Humble(log.url)

        return BrokerSetup(open=build, crash=crash, patience=2, quiet=0.02, idle=0.05)


MUTANTS: list[type[Remote]] = [
    broken_outages.AcceptsIntoTheVoid,
    broken_outages.HangsWhileAway,
    broken_outages.AcksTheNextConnection,
    broken_outages.NeverComesBack,
    broken_outages.ForgetsTheGroup,
    broken_outages.WaitsToLeave,
]


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
async def test_the_contract_fails_an_adapter_that_is_wrong_in_an_outage(kind: type[Remote]) -> None:
    guards: tuple[str, ...] = vars(kind)["caught_by"]

    verdict = await verify(Outages, lambda: remote_setup(kind, patience=0.3), only=guards, limit=2)

    assert sorted(verdict.failed) == sorted(guards), kind.__doc__
