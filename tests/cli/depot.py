"""Services whose events wait in the store, or that stop before one."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from choreo import Event, Gaps, Park, Retry, Service
from tests.cli.shop import STEM, note

MENDED = "CLI_MENDED" in os.environ


class Loaded(Event, topic=f"{STEM}-loaded", key="truck"):
    truck: str
    number: int


class Weighed(Event, topic=f"{STEM}-weighed", key="truck", sequence="number"):
    truck: str
    number: int


@asynccontextmanager
async def arriving(service: Service) -> AsyncGenerator[None]:
    """Let trucks arrive, unless they are there from an earlier start."""
    if not MENDED:
        for number in (1, 2, 3):
            await service.publish(Loaded(truck="red", number=number))
        for number in (3, 4):
            await service.publish(Weighed(truck="blue", number=number))
    yield


depot = Service(f"{STEM}-depot", lifespan=arriving, retry=Retry(attempts=1))


@depot.on(Loaded, on_failure=Park(attempts=0))
async def drive(loaded: Loaded) -> None:
    if not MENDED:
        raise OSError(f"{loaded.truck} has a flat tyre")
    note(f"drove {loaded.truck} {loaded.number}")


@depot.on(Weighed, gaps=Gaps(policy="park", patience=timedelta(milliseconds=10)))
async def record(weighed: Weighed) -> None:
    note(f"weighed {weighed.truck} {weighed.number}")


halting = Service(f"{STEM}-halting", lifespan=arriving, retry=Retry(attempts=1))


@halting.on(Loaded, on_failure="halt")
async def stop(loaded: Loaded) -> None:
    if loaded.number == 2:
        raise OSError("not past this one")
    note(f"drove {loaded.truck} {loaded.number}")
