"""A commit goes out in the membership in which its streams were handled, or not at all (K10)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

import pytest
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, NotCoordinatorForGroupError
from aiokafka.structs import TopicPartition

from choreo_kafka.client import Clients, RawConsumer
from choreo_kafka.fencing import Fence
from choreo_kafka.group_offsets import committed
from choreo_kafka.settings import KafkaSettings
from tests.local import KafkaPart
from tests.patience import patient

HANDLED, EARLIER = 7, 3


class Joined(ConsumerRebalanceListener):
    """Tells when partitions were assigned."""

    def __init__(self) -> None:
        self.assigned = asyncio.Event()

    def on_partitions_revoked(self, revoked: object) -> None:
        """Do nothing: there is nothing to end."""

    def on_partitions_assigned(self, assigned: object) -> None:
        self.assigned.set()


class Coordinator:
    """Is asked for commits as aiokafka's is, and changes its membership when it has answered."""

    def __init__(self) -> None:
        self.generation, self.member_id = 4, "member"
        self.sent: list[tuple[int, str]] = []
        self.next: list[tuple[int, str]] = []
        """Memberships that each answer brings; with the last of them it is a success."""

    async def commit_offsets(self, assignment: object, offsets: object) -> None:
        while True:
            with suppress(NotCoordinatorForGroupError):
                return await self._do_commit_offsets(assignment, offsets)

    async def _do_commit_offsets(self, _assignment: object, _offsets: object) -> None:
        self.sent.append((self.generation, self.member_id))
        if self.next:
            self.generation, self.member_id = self.next.pop(0)
            raise NotCoordinatorForGroupError


class Member:
    """Has a coordinator, as aiokafka's consumer has."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        Fence(cast("RawConsumer", self))


@pytest.mark.parametrize("later", [(-1, ""), (5, "member"), (4, "another")])
async def test_a_commit_is_not_repeated_in_another_membership(later: tuple[int, str]) -> None:
    coordinator = Coordinator()
    coordinator.next = [(4, "member"), later]
    Member(coordinator)

    with pytest.raises(Exception, match="membership has ended"):
        await coordinator.commit_offsets(None, {})

    assert coordinator.sent == 2 * [(4, "member")]


async def test_a_commit_of_the_next_membership_goes_out() -> None:
    coordinator = Coordinator()
    coordinator.next = [(5, "member")]
    Member(coordinator)
    with pytest.raises(Exception, match="membership has ended"):
        await coordinator.commit_offsets(None, {})

    await coordinator.commit_offsets(None, {})

    assert coordinator.sent == [(4, "member"), (5, "member")]


async def test_who_is_no_member_any_more_does_not_set_an_empty_group_back(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """Kafka takes a commit without a member while the group has none: it went back by it."""
    place = TopicPartition(real_kafka.create_topic(fresh_name("fencing"), partitions=1), 0)
    settings = KafkaSettings.parse(real_kafka.url)
    member: Any = Clients(settings, None).member(fresh_name("walker"), timedelta(seconds=1))
    listener = Joined()
    async with asyncio.timeout(patient(30)):
        await member.start()
        try:
            Fence(member)
            member.subscribe([place.topic], listener=listener)
            await listener.assigned.wait()
            await member.commit({place: (HANDLED, "")})

            await member._coordinator._maybe_leave_group()
            with pytest.raises((CommitFailedError, IllegalStateError)):
                await member.commit({place: (EARLIER, "")})

            found = await committed(member, [place])
        finally:
            await member.stop()
    assert found[place].offset == HANDLED
