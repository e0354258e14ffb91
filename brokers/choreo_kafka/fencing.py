"""Commits that are of the membership in which their streams were handled, or are not sent.

A member that the group has given up has neither generation nor id, until it has joined anew.  A
commit without them is what a client outside of any group sends, and while the group has no member
at all Kafka takes it, whatever was committed before.  aiokafka 0.14 sends one, and repeats what a
coordinator could not answer for as long as that takes, with whichever generation it has by then:
one that was frozen or cut off would set the group back to where it was before others went on.
"""

from collections.abc import Mapping
from typing import Any, cast

from aiokafka.errors import IllegalGenerationError
from aiokafka.structs import TopicPartition

from choreo_kafka.client import RawConsumer

Offsets = Mapping[TopicPartition, object]


class Fence:
    """Stands between the commits of one started member, of which there is one at a time."""

    def __init__(self, consumer: RawConsumer) -> None:
        self._coordinator = cast("Any", consumer)._coordinator  # noqa: SLF001 -- see above
        self._commit = self._coordinator.commit_offsets
        self._send = self._coordinator._do_commit_offsets  # noqa: SLF001
        self._began = self._membership
        self._coordinator.commit_offsets = self._commit_as_now
        self._coordinator._do_commit_offsets = self._send_as_then  # noqa: SLF001

    @property
    def _membership(self) -> tuple[int, str]:
        return self._coordinator.generation, self._coordinator.member_id

    async def _commit_as_now(self, assignment: object, offsets: Offsets) -> None:
        self._began = self._membership
        await self._commit(assignment, offsets)

    async def _send_as_then(self, assignment: object, offsets: Offsets) -> None:
        """Send, which reads the membership before anything else can change it."""
        generation, _ = self._membership
        if generation < 0 or self._membership != self._began:
            raise IllegalGenerationError("the membership has ended in which this was handled")
        await self._send(assignment, offsets)
