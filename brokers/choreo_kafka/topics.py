"""Topics as they should be before anything is sent to them: checked, and created on request."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from choreo.broker import TopicSpec
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost
from choreo_kafka.client import Clients, controlled, described_by
from choreo_kafka.outlet import TopicLimits
from choreo_kafka.passing import refusal
from choreo_kafka.settings import KafkaSettings, topic_problem

logger = logging.getLogger(__name__)

DEAD_LETTER_ROOM = 64 * 1024
"""What a topic we create takes beyond max_message_bytes: a dead letter is larger than its source
by its headers (K31)."""
APPEAR_BUDGET = 15.0
"""Seconds for a new topic to be known, with a leader, to the broker we ask."""
RETRY_DELAY = 0.2
"""Seconds until a topic is asked for again whose creation is only refused for the moment."""
USUAL_REPLICATION = 3
KEPT = ("retention.ms", "segment.ms")
"""Configuration that says how long a message is kept: the sum is the longest time."""


class Topics:
    """Checks and creates topics through a short-lived admin client."""

    def __init__(self, clients: Clients, settings: KafkaSettings) -> None:
        self._clients = clients
        self._settings = settings

    async def prepare(self, specs: Sequence[TopicSpec]) -> Mapping[str, TopicLimits]:
        """Make *specs* true and tell what each topic takes; raise ConfigurationError otherwise."""
        problems = [problem for spec in specs if (problem := topic_problem(spec.name))]
        if problems:
            raise ConfigurationError("; ".join(problems))
        admin = self._clients.admin()
        try:
            async with asyncio.timeout(self._settings.connect_timeout.total_seconds()):
                await admin.start()
            async with asyncio.timeout(APPEAR_BUDGET):
                return await self._settle(admin, {spec.name: spec for spec in specs})
        except TimeoutError as error:
            raise ConnectionLost(f"{self._settings.url} did not answer about topics") from error
        except errors.KafkaError as error:
            kind = ConnectionLost if error.retriable else BrokerError
            raise kind(f"{self._settings.url}: {error!r}") from error
        finally:
            await admin.close()

    async def _settle(
        self, admin: AIOKafkaAdminClient, specs: Mapping[str, TopicSpec]
    ) -> Mapping[str, TopicLimits]:
        found = await described_by(admin, list(specs))
        missing = [spec for name, spec in specs.items() if name not in found and spec.create]
        if missing:
            await self._create(admin, missing)
        while missing and any(spec.name not in found for spec in missing):
            await asyncio.sleep(0.05)
            found = await described_by(admin, list(specs), led=True)
        problems = [problem for spec in specs.values() if (problem := _differs(spec, found))]
        if problems:
            raise ConfigurationError("; ".join(problems))
        return await self._limits(admin, list(specs))

    async def _create(self, admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
        """Create topics, trying again whatever only passes, as while nobody leads the cluster."""
        left = await self._refused(admin, specs)
        while left:
            await asyncio.sleep(RETRY_DELAY)
            left = await self._refused(admin, left)

    async def _refused(
        self, admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]
    ) -> Sequence[TopicSpec]:
        """Ask once for *specs*, and give those to ask for again; raise ConfigurationError."""
        settings = self._settings
        await controlled(admin)
        brokers = len((await admin.describe_cluster())["brokers"])
        copies = settings.replication or max(1, min(USUAL_REPLICATION, brokers))
        config = {"max.message.bytes": str(settings.max_message_bytes + DEAD_LETTER_ROOM)}
        answer = await admin.create_topics(
            [
                NewTopic(
                    name=spec.name,
                    num_partitions=spec.partitions or settings.partitions,
                    replication_factor=copies,
                    topic_configs=config,
                )
                for spec in specs
            ]
        )
        # More copies are refused for good; as many, while brokers come up or are cut off (fenced).
        fits = copies <= max(1, brokers)
        again, problems = _sorted(cast("Any", answer).topic_errors, fits=fits)
        if problems:
            raise ConfigurationError("cannot create " + "; ".join(problems))
        names = [spec.name for spec in specs if spec.name not in again]
        logger.info(
            "topics created", extra={"topics": names, "replication": copies, "again": again}
        )
        return [spec for spec in specs if spec.name in again]

    async def _limits(
        self, admin: AIOKafkaAdminClient, names: Sequence[str]
    ) -> Mapping[str, TopicLimits]:
        """Read what each topic takes; empty where the broker does not tell (a right we lack)."""
        wanted = {"max.message.bytes": "", "cleanup.policy": "", **dict.fromkeys(KEPT, "")}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
        limits: dict[str, TopicLimits] = {}
        try:
            answers = await admin.describe_configs(resources)
        except (errors.KafkaError, NotImplementedError) as error:
            logger.info("topic limits are unknown", extra={"error": repr(error)})
            return limits
        for answer in answers:
            for code, _, _, name, entries in cast("Any", answer).resources:
                values = {entry[0]: entry[1] for entry in entries}
                if code == 0 and values.get("max.message.bytes"):
                    limits[name] = TopicLimits(
                        message_bytes=int(values["max.message.bytes"]),
                        payload_bytes=self._settings.max_message_bytes,
                        compacted="compact" in (values.get("cleanup.policy") or ""),
                        retention=_retention(values),
                    )
        return limits


def _sorted(answers: Sequence[Any], *, fits: bool) -> tuple[Mapping[str, str], Sequence[str]]:
    """Part what became of topics: those to ask for again and why, and what is wrong for good.

    *fits* says that the cluster has brokers for as many copies as were asked for.
    """
    again: dict[str, str] = {}
    problems: list[str] = []
    for name, code, *text in answers:
        # One of two services that start together finds the topic created by the other.
        if code in {0, errors.TopicAlreadyExistsError.errno}:
            continue
        refused = refusal(code, name)
        if refused.retriable or (fits and code == errors.InvalidReplicationFactorError.errno):
            again[name] = repr(refused)
        else:
            problems.append(f"topic {name!r}: {(text and text[0]) or type(refused).__name__}")
    return again, problems


def _differs(spec: TopicSpec, found: Mapping[str, int]) -> str | None:
    count = found.get(spec.name)
    if count is None:
        return f"topic {spec.name!r} does not exist: create it, or set create_topics"
    if spec.partitions not in {None, count}:
        return (
            f"topic {spec.name!r} has {count} partitions, not {spec.partitions}: keys would change "
            f"their partition and lose their order (K25)"
        )
    return None


def _retention(values: Mapping[str, str | None]) -> timedelta | None:
    """Read how long a topic keeps a message: a compacted one may keep it for ever.

    A segment is deleted whole, when the last message in it is too old.
    """
    retention, *others = (values.get(name) for name in KEPT)
    if retention is None:
        return None
    if "delete" not in (values.get("cleanup.policy") or "delete") or int(retention) < 0:
        return timedelta.max
    try:
        return timedelta(milliseconds=int(retention) + sum(int(other or 0) for other in others))
    except OverflowError:
        return timedelta.max
