"""What is left of an event that was given up: its letter, and nothing in memory."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Generator

import pytest

from choreo import Retry, Service
from choreo.runner import started
from tests.failures.events import Placed


class Spoilt(Exception):
    pass


@pytest.fixture
def uncollected() -> Generator[None]:
    """Have nothing collected that does not go by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_the_error_of_an_event_with_a_letter_is_not_left_for_the_collector(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its traceback knows the job, which knows it."""
    caplog.set_level(logging.CRITICAL, logger="choreo")  # a record would keep it
    shop = Service("shop", broker="memory://given-up", retry=Retry(attempts=1))
    raised: list[weakref.ref[Spoilt]] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        error = Spoilt(order.order)
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async with started(shop) as running:
        await running.publish([Placed(order="a"), Placed(order="b")])
        assert running.worker is not None
        while len(raised) < 2:
            await asyncio.sleep(0)
        await running.worker.idle()

    assert [each() for each in raised] == [None, None]
