"""What the MQTT tests share: the fake broker, and a listener that remembers."""

from collections.abc import AsyncGenerator

import pytest

from tests.mqtt.fake_broker import FakeBroker
from tests.mqtt.listener import Recorder


@pytest.fixture
async def fake() -> AsyncGenerator[FakeBroker]:
    """Return a strict broker of this test's own."""
    async with FakeBroker.running() as broker:
        yield broker


@pytest.fixture
def listener() -> Recorder:
    """Return a listener that remembers what it was told."""
    return Recorder()
