"""Who stops while the group waits for somebody else leaves it all the same."""

import asyncio
from collections.abc import Callable

from choreo.broker import TopicSpec
from choreo_kafka import KafkaBroker
from tests.kafka.ear import Ear, subscription
from tests.kafka.severed import sever
from tests.local import KafkaPart
from tests.patience import patient

OPTIONS = "session_timeout=30&close_timeout=1"


async def test_a_member_that_stops_within_a_join_leaves_no_ghost_k6(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """K6: everybody would wait for it until its session ends, as for the one that died."""
    topic, group = fresh_name("topic"), fresh_name("group")
    url = f"kafka://{real_kafka.bootstrap}?{OPTIONS}"

    async def members(count: int) -> None:
        async with asyncio.timeout(patient(20)):
            while await asyncio.to_thread(real_kafka.admin.members, group) != count:
                await asyncio.sleep(0.05)

    async with KafkaBroker(url) as dead:
        await dead.prepare([TopicSpec(name=topic, create=True, partitions=2)])
        async with dead.subscribe(subscription(group, topic), Ear()), KafkaBroker(url) as late:
            await sever(dead)
            joining = asyncio.create_task(joined(late, group, topic))
            await members(2)

            joining.cancel()
            await asyncio.wait([joining])

            await members(1)


async def joined(broker: KafkaBroker, group: str, topic: str) -> None:
    """Be a member until cancelled."""
    async with broker.subscribe(subscription(group, topic), Ear()):
        await asyncio.Event().wait()
