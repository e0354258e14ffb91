"""A service that hears numbers, and somebody who says them, whatever is between the two."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from choreo import Event, Service
from choreo.errors import PublishError
from choreo.runner import Running, started
from tests.patience import patient


class Talk:
    """What was accepted of what was said, and what was heard of it."""

    def __init__(self) -> None:
        self.accepted: set[int] = set()
        self.refusals = 0
        """Times that something was not accepted, or nobody knows."""
        self.heard: Counter[int] = Counter()
        self.order: list[int] = []

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait for it."""
        async with asyncio.timeout(patient(seconds)):
            while not holds():
                await asyncio.sleep(0.1)

    async def goes_on(self) -> None:
        """Return once something is heard that was said from now on."""
        newest = max(self.accepted, default=-1)
        await self.until(lambda: max(self.heard, default=-1) > newest, 60)


@asynccontextmanager
async def talking(url: str, name: str) -> AsyncGenerator[Talk]:
    """Talk by way of the broker at *url*; on leaving, all that was accepted must be heard."""
    talk = Talk()

    class Said(Event, topic=name, key="speaker"):
        speaker: str
        number: int

    service = Service(f"{name}-ears", broker=url, create_topics=True)

    @service.on(Said)
    async def hear(said: Said) -> None:
        talk.heard[said.number] += 1
        if talk.heard[said.number] == 1:
            talk.order.append(said.number)

    async with started(service) as running:
        speaking = asyncio.create_task(_speak(running, talk, lambda n: Said(speaker="a", number=n)))
        try:
            await talk.goes_on()
            yield talk
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
        await talk.until(lambda: talk.accepted <= set(talk.heard), 60)


async def _speak(running: Running, talk: Talk, said: Callable[[int], Event]) -> None:
    """Say one number after the other, each until it is accepted."""
    number = 0
    while True:
        try:
            await running.publish([said(number)])
        except PublishError:
            talk.refusals += 1
            continue
        talk.accepted.add(number)
        number += 1
        await asyncio.sleep(0.02)
