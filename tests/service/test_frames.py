"""How far it is from the receive loop to a handler."""

import inspect
from pathlib import Path

import pytest

import choreo
from choreo import Context, Event, Service
from choreo.testing import Harness

FRAMEWORK = str(Path(choreo.__file__).parent)
MOST = 5


class Placed(Event, topic="orders", key="order"):
    order: str


async def test_at_most_five_framework_frames_between_the_receive_loop_and_a_handler(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = Service("shop")
    frames: list[str] = []

    @shop.on(Placed)
    async def charge(_: Placed, ctx: Context) -> None:
        for frame in inspect.stack()[1:]:
            if not frame.filename.startswith(FRAMEWORK):
                break
            frames.append(f"{Path(frame.filename).stem}.{frame.function}")

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    with capsys.disabled():
        print(f"\nframes to a handler: {' > '.join(reversed(frames))} > charge")  # noqa: T201
    assert 0 < len(frames) <= MOST
