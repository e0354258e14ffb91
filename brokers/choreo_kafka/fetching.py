"""How the client fetches: what it waits for, and what it makes of what has come.

Theory of operation.  How long may the broker keep a fetch waiting while other partitions still have
something to read?

aiokafka 0.14 has one fetch on its way to each node, for those partitions alone of which it holds
nothing.  Where these are idle, the broker answers half a second later, and what runs empty in the
meantime is not fetched before that: one idle topic (that of replays is nearly always idle) would
take a third of the throughput of all others.  So while something is held of a node, its fetches are
answered soon, and the sooner the less time what was held last has lasted.

What is fetched is made of records, each of which aiokafka copies into an object of its own with
eleven attributes, for deserializers that are not used here; what it has read them into says as much
to us, so that those are handed over as they are.

What is private in aiokafka 0.14 and used here: what its fetcher holds, the requests that it is
about to send, and what its records are copied by.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, cast

from choreo_kafka.client import RawConsumer

SHARE = 8
"""A fetch may wait for that part of the time for which what is held has lasted already."""


def patience_ms(longest: int, created: Iterable[float], now: float) -> int:
    """Tell how long a fetch may wait, at most *longest*, beside what is held since *created*."""
    youngest = max(created, default=None)
    if youngest is None:
        return longest
    return max(1, min(longest, int((now - youngest) * 1000 / SHARE)))


def hasten(consumer: RawConsumer) -> None:
    """Have *consumer*, which has started, wait no longer for idle partitions than it can afford."""
    fetcher = cast("Any", consumer)._fetcher  # noqa: SLF001
    decide = fetcher._get_actions_per_node  # noqa: SLF001

    def decided(assignment: object) -> Any:  # noqa: ANN401 - private to aiokafka
        actions = decide(assignment)
        if not actions[0]:
            return actions
        held: dict[object, list[float]] = {}
        for partition, records in fetcher._records.items():  # noqa: SLF001
            node = fetcher._select_read_replica(partition)  # noqa: SLF001
            held.setdefault(node, []).append(records._created)  # noqa: SLF001
        for node, request in actions[0]:
            request._max_wait_ms = patience_ms(  # noqa: SLF001
                request._max_wait_ms,  # noqa: SLF001
                held.get(node, ()),
                time.monotonic(),
            )
        return actions

    fetcher._get_actions_per_node = decided  # noqa: SLF001


class _Bare(OrderedDict[object, Any]):
    """What a fetcher holds of each partition, whose records are handed over uncopied."""

    def __setitem__(self, partition: object, found: Any) -> None:  # noqa: ANN401 - as above
        records = getattr(found, "_partition_records", None)  # none in an error
        if records is not None:
            records._consumer_record = _as_it_is  # noqa: SLF001
        super().__setitem__(partition, found)


def _as_it_is(_: object, record: object) -> object:
    return record


def spare_copies(consumer: RawConsumer) -> None:
    """Have *consumer*, which has started, hand over records as they were read."""
    fetcher = cast("Any", consumer)._fetcher  # noqa: SLF001
    fetcher._records = _Bare(fetcher._records)  # noqa: SLF001
