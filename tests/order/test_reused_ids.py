"""An id that lies in the lot and comes again with another payload is buried, never lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from choreo import Event, Park, Retry, Service
from choreo.delivery.job import Outcome
from choreo.reason import Reason
from choreo.testing import Harness

LONG = timedelta(hours=1)


class Work(Event, topic="work", key="key"):
    key: str
    text: str


@pytest.mark.parametrize("key", ["a", "b"])
async def test_another_payload_under_a_parked_id_is_dead_lettered_i10(url: str, key: str) -> None:
    shop = Service("shop", store=url, retry=Retry(attempts=1), outage_keys=0)

    @shop.on(Work, on_failure=Park(initial=LONG, maximum=LONG))
    async def handle(work: Work) -> None:
        raise OSError(work.text)

    async with Harness(shop) as world:
        await world.publish(Work(key="a", text="first"))
        await world.settle()
        (first,) = [message for message in world.messages if message.topic == "work"]
        body = (first.body or b"").replace(b"first", b"other").replace(b'"a"', f'"{key}"'.encode())
        await world.send(first, replace(first, body=body, key=key.encode()))
        await world.settle()

        (letter,) = world.dead_letters
        assert letter.reason is Reason.ID_CONFLICT
        assert world.outcomes(handle) == {Outcome.PARKED: 2, Outcome.DEAD_LETTERED: 1}
