"""What services send, take and read of it, written down: ``choreo.lock``.

JSON, for a schema is JSON already and whatever compares locks must have the schemas; keys in a
fixed order, one value a line, so that a change of a contract is a change of the lines that say it.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, ValidationError

from choreo.contracts.mode import Mode
from choreo.errors import ConfigurationError
from choreo.event import Newer

LOCK = "choreo.lock"
FORMAT: Literal[1] = 1
WHOLE = "*"
"""Stands for all there is, at the end of a place in an event."""
C = TypeVar("C", bound="Contract")
K = TypeVar("K")
V = TypeVar("V")


def _by_key(entries: dict[K, V]) -> dict[K, V]:
    return {key: entries[key] for key in sorted(entries, key=str)}


def _by_version(contracts: list[C]) -> list[C]:
    return sorted(contracts, key=lambda one: (one.event, one.topic, one.version))


ByKey = AfterValidator(_by_key)
ByVersion = AfterValidator(_by_version)


class _Part(BaseModel):
    """Anything in a lock: what it does not know is a newer format's, and refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contract(_Part):
    """One version of one event, as a service writes or reads it."""

    event: str
    version: int
    topic: str
    """As declared, with its templates."""
    key: str | None = None
    """The field that keeps related events in order."""
    sequence: str | None = None
    """The field that numbers the events of one key, or ``auto``."""
    idempotency_key: str | None = None
    retain: bool = False
    """The broker keeps the last one of each topic, where it can."""
    deprecated: str | None = None
    """Why it should not be used any more."""
    avro: JsonValue = None
    """The schema; none where Avro cannot say the event, which then is known by JSON only."""


class Emission(Contract):
    """An event that a service writes."""

    handlers: Annotated[list[str], AfterValidator(sorted)] = []
    """Who emits it; none where it is published outside of handlers."""
    earlier: Annotated[dict[int, JsonValue], ByKey] = {}
    """Contracts of versions before it, of which events may still lie in the topic."""


class Reading(_Part):
    """One handler of an event."""

    where: str
    """File and line."""
    order: Literal["handler", "key"] = "handler"
    """A key's events are in order within the handler, or across all handlers of the service."""
    on_failure: str = "dead_letter"
    observed: bool = False
    """Whether a test had it handle an event; if not, nothing is known of what it reads."""
    reads: Annotated[dict[str, list[str]], ByKey] = {}
    """Fields by their places in the event, ``*`` for all there is, and the lines that read them."""


class Consumption(Contract):
    """An event that a service takes."""

    upcasts: list[int] = []
    """Earlier versions that its class converts."""
    newer: Newer = "dead_letter"
    """What becomes of newer versions: read where they can be, or all put aside."""
    contracts: Annotated[list[int], AfterValidator(sorted)] = []
    """Versions whose contract it has a copy of, without which it reads no newer one."""
    handlers: Annotated[dict[str, Reading], ByKey] = {}


class ServiceLock(_Part):
    """Everything that others may rely on, and that relies on others."""

    owner: str | None = None
    codec: str = "json"
    registry: bool = False
    """Whether it finds the schema of an Avro payload in a registry, too."""
    mode: Mode = Mode.FULL_TRANSITIVE
    """What is demanded of new versions of what it emits."""
    emits: Annotated[list[Emission], ByVersion] = []
    consumes: Annotated[list[Consumption], ByVersion] = []


class Lock(_Part):
    """The services of one project."""

    format: Literal[1] = FORMAT
    services: Annotated[dict[str, ServiceLock], ByKey] = {}


def read_lock(path: Path) -> Lock:
    """Read a lock file; raise ConfigurationError for one that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the lock {path} cannot be read: {error}") from error
    return parse_lock(text, str(path))


def parse_lock(text: str, origin: str) -> Lock:
    """Read a lock from its text; raise ConfigurationError, naming *origin*, for another."""
    try:
        return Lock.model_validate_json(text)
    except (ValidationError, RecursionError) as error:
        kind = str(error).splitlines()
        raise ConfigurationError(
            f"{origin} is no lock of format {FORMAT}: {' '.join(kind[1:3]) or kind[0]}"
        ) from None


def lock_text(lock: Lock) -> str:
    """Write *lock*: the same lock makes the same text, whoever writes it."""
    return json.dumps(lock.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
