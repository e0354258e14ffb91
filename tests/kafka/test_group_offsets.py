"""Reading what a group has committed, from a coordinator that says more than offsets."""

from typing import cast

import pytest
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from choreo_kafka.client import RawConsumer
from choreo_kafka.group_offsets import committed

LOADING, NOT_COORDINATOR, FORBIDDEN = 14, 16, 30
HELD = TopicPartition("orders", 3)


class Coordinator:
    """Answers one error code after the other, then with the offset."""

    def __init__(self, *codes: int) -> None:
        self.group_id = "payments"
        self.deaths = 0
        self._codes = list(codes)

    async def ensure_coordinator_known(self) -> None:
        """Do nothing: it is known."""

    def coordinator_dead(self) -> None:
        self.deaths += 1

    async def _send_req(self, _: OffsetFetchRequest) -> OffsetFetchResponse_v3:
        if self._codes:
            return OffsetFetchResponse_v3(0, [], self._codes.pop(0))
        return OffsetFetchResponse_v3(0, [("orders", [(3, 42, "", 0), (4, -1, "", 0)])], 0)


class Member:
    """Has a coordinator, as aiokafka's consumer has."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator


def member(coordinator: Coordinator) -> RawConsumer:
    return cast("RawConsumer", Member(coordinator))


async def test_a_coordinator_that_is_still_loading_is_no_group_that_never_read() -> None:
    coordinator = Coordinator(LOADING, NOT_COORDINATOR)

    found = await committed(member(coordinator), [HELD, TopicPartition("orders", 4)])

    assert found == {HELD: OffsetAndMetadata(42, "")}
    assert coordinator.deaths == 1


async def test_offsets_that_may_not_be_read_are_an_error_and_no_absence() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await committed(member(Coordinator(FORBIDDEN)), [HELD])
