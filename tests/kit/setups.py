"""How the contract reaches the adapters that its own tests are made of."""

import asyncio

from choreo.broker import Broker
from choreo.testing.contract import BrokerSetup, fresh_name
from choreo_memory import MemoryBroker
from tests.kit.weather import Remote, Sky
from tests.kit.wrapper import Wrapper


def setup_for(kind: type[Wrapper], patience: float = 2) -> BrokerSetup:
    """Describe a log of its own, reached through *kind*, which can be cut off if it is Remote."""
    url = f"memory://{fresh_name()}?max_message_bytes=1500000"
    log = MemoryBroker(url)
    if issubclass(kind, Remote):
        return _remote(kind, log, url, patience)

    def build() -> Wrapper:
        assert log.url in url  # and so the log lives as long as the setup does
        return kind(url)

    return BrokerSetup(open=build, crash=crash, patience=patience, quiet=0.02, idle=0.1)


def _remote(kind: type[Remote], log: MemoryBroker, url: str, patience: float) -> BrokerSetup:
    sky, away = Sky(), Sky()
    sky.up.set()

    def build() -> Remote:
        assert log.url in url
        return kind(url, sky)

    def nowhere() -> Remote:
        return kind(url, away)

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
        idle=0.1,
    )


async def crash(broker: Broker) -> None:
    """Kill *broker*."""
    assert isinstance(broker, Wrapper)
    broker.crash()
