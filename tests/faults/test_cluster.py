"""A service on three brokers, of which one after the other goes: F6 and F7."""

import asyncio
from collections.abc import Callable

import pytest

from choreo.testing.faults import Frozen, Killed, Rolled, struck
from tests.conftest import StartKafka
from tests.faults.talk import talking
from tests.local import KafkaNode

OPTIONS = "session_timeout=6&stall_timeout=5&publish_timeout=10&replication=3&partitions=4"
DOWN = 3.0
"""Seconds for which a node is gone."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


async def test_leader_controller_and_coordinator_die_in_turn_and_nothing_is_lost_f6(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    name, cluster = fresh_name("said"), await asyncio.to_thread(kafka_cluster, nodes=3)
    async with talking(f"kafka://{cluster.bootstrap}?{OPTIONS}", name) as talk:
        roles: dict[str, Callable[[], KafkaNode]] = {
            "leader": lambda: cluster.leader(name),
            "controller": cluster.controller,
            "coordinator": lambda: cluster.coordinator(f"{name}-ears"),
        }
        proofs: list[str] = []
        for role, find in roles.items():
            node = await asyncio.to_thread(find)
            proofs.append(await struck(Killed(node, f"kill -9 of the {role}"), DOWN))
            await asyncio.to_thread(cluster.wait_ready)
            await asyncio.to_thread(cluster.wait_in_sync, name)
            await talk.goes_on()

    assert len(proofs) == 3
    assert talk.order == sorted(talk.order)


async def test_a_rolling_restart_loses_nothing_and_needs_no_restart_of_services_f7(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    name, cluster = fresh_name("said"), await asyncio.to_thread(kafka_cluster, nodes=3)
    async with talking(f"kafka://{cluster.bootstrap}?{OPTIONS}", name) as talk:

        def ready() -> None:
            cluster.wait_ready()
            cluster.wait_in_sync(name)

        proof = await struck(Rolled(cluster.nodes, ready), 0)
        await talk.goes_on()

    assert proof.count("→") == 3
    assert talk.order == sorted(talk.order)


async def test_while_too_few_replicas_are_in_step_nothing_is_accepted_and_then_all_goes_on_f9(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    """A topic that asks for three of three brokers takes nothing while one of them is silent."""
    name, cluster = fresh_name("said"), await asyncio.to_thread(kafka_cluster, nodes=3)
    every = {"min.insync.replicas": "3"}
    await asyncio.to_thread(cluster.admin.create_topic, name, partitions=1, config=every)
    async with talking(f"kafka://{cluster.bootstrap}?{OPTIONS}", name) as talk:
        leader = await asyncio.to_thread(cluster.leader, name)
        other = next(node for node in cluster.nodes if node is not leader)
        fault = Frozen(other, "a replica falls silent")

        refusals = talk.refusals
        await fault.begin()
        await talk.until(lambda: talk.refusals > refusals, 60)
        stood = len(talk.accepted)
        await asyncio.sleep(DOWN)
        held = len(talk.accepted)
        proof = await fault.end()
        await talk.goes_on()

    assert held == stood
    assert "stood still" in proof
    assert talk.order == sorted(talk.order)
