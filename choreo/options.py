"""The options of a service for type checkers; ``Settings`` declares what each means."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, TypedDict

from choreo.contracts.mode import Mode
from choreo.event import Newer


class Options(TypedDict, total=False):
    """What ``Service`` and ``Harness`` take besides parameters of their own; None is as left out.

    A misspelt name, or a value of another type, is an error of typing, and one when it is called.
    """

    inbox_retention: timedelta | None
    codec: Literal["json", "avro"] | None
    schemas: Path | str | None
    compatibility: Mode | str | None
    registry: str | None
    framing: Literal["single_object", "confluent"] | None
    subjects: Literal["topic", "record", "topic_record"] | None
    register_schemas: bool | None
    owner: str | None
    concurrency: int | None
    threads: int | None
    prefetch: int | None
    max_unsettled: int | None
    max_unsettled_bytes: int | None
    max_span: int | None
    duplicates_window: int | None
    order: Literal["handler", "key"] | None
    start: Literal["earliest", "latest"] | None
    foreign: Literal["ignore", "dead_letter"] | None
    newer: Newer | None
    max_hops: int | None
    outbox_lease: timedelta | None
    outbox_refused: Literal["hold", "pass"] | None
    outage_keys: int | None
    outage_limit: timedelta | None
    quarantine: int | None
    dead_letter_stack: bool | None
    replays: bool | None
    deadline: timedelta | None
    grace: timedelta | None
    drain: timedelta | None
    start_timeout: timedelta | None
    create_topics: bool | None
    telemetry: bool | None
    trace_parent: Literal["parent", "link"] | None
    trace_create: bool | None
    partitions: int | None
