"""A broker for one command: found by option or settings, opened, and closed again."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from choreo.broker import Broker, open_broker
from choreo.errors import ConfigurationError
from choreo.settings import Settings


@asynccontextmanager
async def reached(settings: Settings) -> AsyncGenerator[Broker]:
    """Open the broker that *settings* name.

    Raises ConfigurationError for one that lives in another process, ConnectionLost if it cannot be
    reached at the first try.
    """
    broker = open_broker(settings.broker)
    if broker.capabilities.in_process:
        raise ConfigurationError(
            f"{broker.url} lives inside the process that runs the services and cannot be reached "
            "from here: give --broker, or set CHOREO_BROKER"
        )
    async with broker as opened:
        yield opened
