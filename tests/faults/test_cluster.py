"""A service on three brokers, of which one after the other goes: F6 and F7."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from choreo import Event, Service
from choreo.errors import PublishError
from choreo.runner import Running, started
from choreo.testing.faults import Killed, Rolled, struck
from tests.conftest import StartKafka
from tests.local import KafkaCluster, KafkaNode
from tests.patience import patient

OPTIONS = "session_timeout=6&stall_timeout=5&publish_timeout=10&replication=3&partitions=4"
DOWN = 3.0
"""Seconds for which a node is gone."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Scene:
    """A cluster, a service on it that hears numbers, and somebody who says them."""

    def __init__(self, cluster: KafkaCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.accepted: set[int] = set()
        self.heard: Counter[int] = Counter()
        self.order: list[int] = []

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(patient(seconds)):
            while not holds():
                await asyncio.sleep(0.1)

    async def goes_on(self) -> None:
        """Return once something is heard that was said from now on."""
        newest = max(self.accepted, default=-1)
        await self.until(lambda: max(self.heard, default=-1) > newest, 60)


@asynccontextmanager
async def talking(start: StartKafka, name: str) -> AsyncGenerator[Scene]:
    cluster = await asyncio.to_thread(start, nodes=3)
    scene = Scene(cluster, name)

    class Said(Event, topic=name, key="speaker"):
        speaker: str
        number: int

    url = f"kafka://{cluster.bootstrap}?{OPTIONS}"
    service = Service(f"{name}-ears", broker=url, create_topics=True)

    @service.on(Said)
    async def hear(said: Said) -> None:
        scene.heard[said.number] += 1
        if scene.heard[said.number] == 1:
            scene.order.append(said.number)

    async with started(service) as running:
        speaking = asyncio.create_task(
            _speak(running, scene, lambda n: Said(speaker="a", number=n))
        )
        try:
            await scene.goes_on()
            yield scene
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
        await scene.until(lambda: scene.accepted <= set(scene.heard), 60)


async def _speak(running: Running, scene: Scene, said: Callable[[int], Event]) -> None:
    """Say one number after the other, each until it is accepted."""
    number = 0
    while True:
        try:
            await running.publish([said(number)])
        except PublishError:
            continue
        scene.accepted.add(number)
        number += 1
        await asyncio.sleep(0.02)


async def test_leader_controller_and_coordinator_die_in_turn_and_nothing_is_lost_f6(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    async with talking(kafka_cluster, fresh_name("said")) as scene:
        roles: dict[str, Callable[[], KafkaNode]] = {
            "leader": lambda: scene.cluster.leader(scene.name),
            "controller": scene.cluster.controller,
            "coordinator": lambda: scene.cluster.coordinator(f"{scene.name}-ears"),
        }
        proofs: list[str] = []
        for role, find in roles.items():
            node = await asyncio.to_thread(find)
            proofs.append(await struck(Killed(node, f"kill -9 of the {role}"), DOWN))
            await asyncio.to_thread(scene.cluster.wait_ready)
            await _whole(scene)
            await scene.goes_on()

    assert len(proofs) == 3
    assert scene.order == sorted(scene.order)


async def test_a_rolling_restart_loses_nothing_and_needs_no_restart_of_services_f7(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    async with talking(kafka_cluster, fresh_name("said")) as scene:

        def ready() -> None:
            scene.cluster.wait_ready()
            scene.cluster.wait_in_sync(scene.name)

        proof = await struck(Rolled(scene.cluster.nodes, ready), 0)
        await scene.goes_on()

    assert proof.count("→") == 3
    assert scene.order == sorted(scene.order)


async def _whole(scene: Scene) -> None:
    await asyncio.to_thread(scene.cluster.wait_in_sync, scene.name)
