"""What is looked at while a run lasts: effects, memory, and the places of groups."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition

from choreo.errors import StoreError
from choreo.testing.checker import Scribe
from tests.prove import truth
from tests.prove.crew import Crew
from tests.prove.site import PARTITIONS, Site
from tests.prove.worker import ROLES, TOPICS

LOOK = 0.5
READS: Sequence[tuple[str, str]] = (
    ("order", "requests"),
    ("order", "reminders"),
    ("order", "payments"),
    ("payment", "orders"),
    ("payment", "lapses"),
    ("shipping", "payments"),
    ("invoice", "payments"),
)
"""Who reads what."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks again and again, and writes down what it sees."""

    site: Site
    crew: Crew
    scribe: Scribe
    done: int = 0
    """Effects so far."""
    latest: dict[str, float] = field(default_factory=dict[str, float])
    """When each service had its latest effect."""
    _asked: list[truth.Places] = field(default_factory=list[truth.Places])

    async def run(self) -> None:
        """Look until cancelled."""
        ledgers = self.site.ledgers
        while True:
            with suppress(StoreError):
                self.done = await ledgers.count()
                self.latest = await ledgers.latest()
            self._memory()
            if self.site.kafka:
                await asyncio.to_thread(self._commits)
            await asyncio.sleep(LOOK)

    def has_gone_on(self, since: float) -> bool:
        """Say whether every service has had an effect since a moment."""
        return len(self.latest) == len(ROLES) and min(self.latest.values()) > since

    def places(self) -> dict[tuple[str, str], int]:
        """Tell where each group is in each stream; blocks."""
        if not self._asked:
            self._asked.append(truth.Places(self.site.bootstrap, self._reads()))
        return self._asked[0].read()

    def lag(self) -> list[str]:
        """Tell which groups are not at the end of what they read; blocks."""
        if not self.site.kafka:
            return []
        run = self.site.run
        ends = truth.ends(self.site.bootstrap, [f"{run}-{topic}" for topic in TOPICS.values()])
        places = self.places()
        return [
            f"{run}-{role} is at {place} of {end} in {stream}"
            for role, topic in READS
            for stream, end in ends.items()
            if stream.startswith(f"{run}-{topic}-")
            and (place := max(0, places.get((f"{run}-{role}", stream), 0))) < end
        ]

    def close(self) -> None:
        """Ask no more."""
        for asked in self._asked:
            asked.close()

    def _reads(self) -> dict[str, list[TopicPartition]]:
        found: dict[str, list[TopicPartition]] = defaultdict(list)
        for role, topic in READS:
            found[f"{self.site.run}-{role}"] += [
                TopicPartition(f"{self.site.run}-{topic}", number) for number in range(PARTITIONS)
            ]
        return found

    def _memory(self) -> None:
        now = time.monotonic()
        for member in self.crew.members:
            if member.alive:
                self.scribe.write(
                    "sample",
                    now,
                    proc=member.task.proc,
                    incarnation=member.life,
                    text="rss",
                    value=rss(member.pid),
                )

    def _commits(self) -> None:
        try:
            places = self.places()
        except KafkaException:  # the broker is gone, as it should be
            return
        now = time.monotonic()
        entries = [
            self.scribe.entry("commit", now, service=group, tp=stream, offset=place)
            for (group, stream), place in places.items()
            if place >= 0
        ]
        self.scribe.write_all(entries)


def rss(pid: int) -> float:
    """Tell the bytes that a process holds; 0 once it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * 4096.0
