"""How long the broker may keep a fetch waiting while other partitions still have something to read.

aiokafka 0.14 has one fetch on its way to each node, for those partitions alone of which it holds
nothing.  Where these are idle, the broker answers half a second later, and what runs empty in the
meantime is not fetched before that: one idle topic (that of replays is nearly always idle) would
take a third of the throughput of all others.  So while something is held of a node, its fetches are
answered soon, and the sooner the less time what was held last has lasted.

What is private in aiokafka 0.14 and used here: what its fetcher holds, and the requests that it is
about to send.
"""

import time
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
