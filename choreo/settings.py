"""Every option of a service, declared once: name, type, default and what it is for."""

import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from choreo.contracts.mode import Mode
from choreo.duration import Duration
from choreo.errors import ConfigurationError
from choreo.event import Newer
from choreo.written import problems

PREFIX = "CHOREO_"
TABLE = "choreo"
ALIKE = 0.8
"""How alike (difflib's ratio) a name must be to an option's to be taken for a slip of the pen."""


class Settings(BaseModel):
    """Options of a service: arguments first, then ``CHOREO_…`` variables, then ``[tool.choreo]``.

    Durations are seconds or ISO 8601 (``PT30S``) where they are written as text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    broker: str = Field(
        default="memory://", description="URL of the broker: memory://, kafka://… or mqtt://…"
    )
    store: str | None = Field(
        default=None,
        description="URL of the store: sqlite:///…, postgresql://… or memory://; none keeps books "
        "in memory only.",
    )
    inbox_retention: Duration | None = Field(
        default=None,
        description="Time for which a store remembers finished events; by default as long as the "
        "broker may hand them over again, and a day.",
    )
    codec: Literal["json", "avro"] = Field(
        default="json", description="Format in which events are written."
    )
    schemas: Path = Field(
        default=Path("schemas"), description="Folder of the committed Avro contracts."
    )
    compatibility: Mode = Field(
        default=Mode.FULL_TRANSITIVE,
        description="Who must be able to read whom, among versions of a contract.",
    )
    registry: str | None = Field(
        default=None,
        description="URL of a schema registry, http://… or https://user:password@…; none uses the "
        "committed contracts alone.",
    )
    framing: Literal["single_object", "confluent"] | None = Field(
        default=None,
        description="How an Avro payload names its schema: by a fingerprint or by the registry's "
        "id; by default the latter where there is a registry.",
    )
    subjects: Literal["topic", "record", "topic_record"] = Field(
        default="topic_record",
        description="How the registry's subjects are named: TOPIC-value, EVENT or TOPIC-EVENT.",
    )
    register_schemas: bool = Field(
        default=False, description="Register at start what is written and not registered."
    )
    owner: str | None = Field(
        default=None, description="Who answers for the service, as catalogues tell."
    )
    concurrency: int = Field(default=100, ge=1, description="Handlers running at once.")
    threads: int = Field(default=16, ge=1, description="Threads for plain functions as handlers.")
    prefetch: int | None = Field(
        default=None,
        ge=1,
        description="Deliveries ready or running at once; by default 500, or twice "
        "`concurrency` where that is more.",
    )
    max_unsettled: int = Field(
        default=5_000, ge=1, description="Deliveries held in all, waiting ones included."
    )
    max_unsettled_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1,
        description="Bytes of payload held in all; checked between polls.",
    )
    max_span: int = Field(
        default=10_000,
        ge=1,
        description="Positions from the oldest unsettled event of a stream to the newest taken.",
    )
    duplicates_window: int = Field(
        default=100_000,
        ge=0,
        description="Finished events remembered, to suppress duplicates in a process.",
    )
    order: Literal["handler", "key"] = Field(
        default="handler",
        description="Keep a key in order within each handler, or across all handlers.",
    )
    start: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where a service begins that has never read a topic."
    )
    foreign: Literal["ignore", "dead_letter"] = Field(
        default="dead_letter",
        description="What becomes of records that are no CloudEvents and not declared.",
    )
    newer: Newer = Field(
        default="read",
        description="What becomes of newer versions of events: read where their contract allows "
        "it and dead-lettered otherwise, or held instead, or all dead-lettered.",
    )
    max_hops: int = Field(
        default=64, ge=1, description="Longest chain of causes before an event is a loop."
    )
    outbox_lease: Duration = Field(
        default=timedelta(seconds=10),
        ge=timedelta(seconds=1),
        description="Time for which the outbox of a killed process waits for another.",
    )
    outbox_refused: Literal["hold", "pass"] = Field(
        default="hold",
        description="What an event that the broker refuses for good does to later ones of its key.",
    )
    outage_keys: int = Field(
        default=5,
        ge=0,
        description="Keys that fail alike before a handler rests and probes; 0: it never rests.",
    )
    outage_limit: Duration = Field(
        default=timedelta(days=1),
        description="Time after which events of a handler that rests go the way of their retries.",
    )
    quarantine: int = Field(
        default=4,
        ge=0,
        description="Crashes of processes after which the event they were at is a dead letter, "
        "unread: at least 2, or 0 for never. Needs a store.",
    )
    dead_letter_stack: bool = Field(
        default=False, description="Tell in dead letters where the error was raised, in 4 KiB."
    )
    replays: bool = Field(
        default=True, description="Take replays of its dead letters from the desk's topic."
    )
    deadline: Duration = Field(
        default=timedelta(seconds=60), description="Longest run of a handler."
    )
    grace: Duration = Field(
        default=timedelta(seconds=5),
        description="Time a cancelled handler has to end; then it is abandoned.",
    )
    drain: Duration = Field(
        default=timedelta(seconds=20),
        description="Time for running handlers when stopping or rebalancing.",
    )
    start_timeout: Duration = Field(
        default=timedelta(seconds=60),
        description="Time to reach the broker at start before giving up.",
    )
    create_topics: bool = Field(default=False, description="Create missing topics at start.")
    telemetry: bool = Field(
        default=True, description="Trace and measure where an OpenTelemetry provider is set up."
    )
    trace_parent: Literal["parent", "link"] = Field(
        default="parent",
        description="Handle an event as part of its trace, or in a new one linked to it.",
    )
    trace_create: bool = Field(
        default=True, description="Give each event of a batch a trace span of its own."
    )
    partitions: int | None = Field(
        default=None, ge=1, description="Partitions of topics created at start."
    )

    @classmethod
    def load(cls, **arguments: Any) -> Self:  # noqa: ANN401 -- validated by the model
        """Gather the settings; raise ConfigurationError naming what is wrong."""
        values = {**_from_pyproject(Path.cwd()), **_from_environment(os.environ)}
        values.update({name: value for name, value in arguments.items() if value is not None})
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(
                f"settings: {problems(error)} (arguments, {PREFIX}* or [tool.{TABLE}] of "
                "pyproject.toml)"
            ) from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """Read ``CHOREO_*``; names that are like no option are other tools' and left alone.

    Raises ConfigurationError for one that is an option's but for a slip.
    """
    options = list(Settings.model_fields)
    found: dict[str, object] = {}
    for variable, value in environment.items():
        if not variable.upper().startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :].lower()
        if variable == f"{PREFIX}{name.upper()}" and name in options:
            found[name] = value
        elif meant := get_close_matches(name, options, n=1, cutoff=ALIKE):
            raise ConfigurationError(
                f"settings: {variable} is no option: {PREFIX}{meant[0].upper()} is meant, it seems"
            )
    return found


def _from_pyproject(folder: Path) -> dict[str, object]:
    """Read ``[tool.choreo]`` of the nearest pyproject.toml, from *folder* upwards."""
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        if file.is_file():
            try:
                table = _table(file.read_text(encoding="utf-8"))
            except OSError as error:
                raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
            except ValueError as error:  # no TOML, or no UTF-8
                raise ConfigurationError(f"{file} is not valid TOML: {error}") from error
            if not isinstance(table, Mapping):
                raise ConfigurationError(
                    f"{file}: tool.{TABLE} is no table: write [tool.{TABLE}] and options below it"
                )
            return dict(cast("Mapping[str, object]", table))
    return {}


@lru_cache(maxsize=1)
def _table(text: str) -> object:
    """Read ``[tool.choreo]`` out of *text*, whose parsing takes longer than all else of a start."""
    tools: object = tomllib.loads(text).get("tool", {})
    return cast("Mapping[str, object]", tools).get(TABLE, {}) if isinstance(tools, Mapping) else {}
