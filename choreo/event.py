"""Typed events: frozen pydantic models whose class arguments declare their identity on the wire."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict

from choreo.declaration import is_class_of, require
from choreo.errors import ConfigurationError
from choreo.foreign import Foreign
from choreo.topic import Topic

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")
KINDS: Mapping[str, type[object]] = {
    "name": str,
    "key": str,
    "version": int,
    "sequence": str,
    "idempotency_key": str,
    "retain": bool,
    "foreign": Foreign,
}
"""What class arguments are, where they are given."""

Newer = Literal["read", "hold", "dead_letter"]
"""What becomes of newer versions than the class's: *read* those that can be read whole and
dead-letter the others, *hold* these instead, or *dead_letter* all of them."""

AUTO = "auto"
"""In place of a field: the outbox numbers the events, per name and key."""


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the fields of one version, by their names on the wire, into those of the next."""


@dataclass(frozen=True, kw_only=True)
class EventType:
    """What the wire knows of an event class."""

    name: str
    """Name without version, such as ``com.example.OrderPlaced``."""
    version: int
    topic: Topic
    key: str | None
    """The field whose value keeps related events in order."""
    sequence: str | None
    """The field that numbers the events of one key; ``auto`` if the outbox does."""
    idempotency_key: str | None
    """The field that makes several distinct events one effect."""
    retain: bool
    """Keep the last one per topic on brokers that can, and take kept ones in."""
    foreign: Foreign | None
    """How records that are no CloudEvents are read as this event."""
    newer: Newer | None = None
    """What becomes of newer versions; None: what the setting ``newer`` says."""

    @property
    def numbered(self) -> bool:
        """Say whether the outbox numbers such events."""
        return self.sequence == AUTO

    @property
    def type(self) -> str:
        """The CloudEvents ``type``: name and version."""
        return f"{self.name}.v{self.version}"


class Event(BaseModel):
    """Parent of all events.

    ``topic`` names where it is published and may hold ``{field}`` templates; ``key`` names the
    field that keeps related events in order; ``version`` counts incompatible changes; ``name``
    replaces the class name on the wire and ``domain``, inherited, goes before it. ``sequence``
    and ``idempotency_key`` name fields; ``sequence="auto"`` has the outbox of the store number the
    events of each key; ``foreign`` says how records that are no CloudEvents are read, and ``newer``
    what becomes of newer versions. A subclass without a topic is a parent for others and cannot be
    published.

    Unknown fields are ignored on reading (tolerant reader); NaN and infinities are refused; bytes
    are base64 in JSON.
    """

    # No class arguments: pyright takes frozen=True there for a promise that every subclass repeats.
    # "constants" is no JSON: what passed the classes as NaN stays one, for the codec to refuse.
    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        ser_json_inf_nan="constants",
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    __event__: ClassVar[EventType | None] = None
    __domain__: ClassVar[str] = ""
    __upcasters__: ClassVar[dict[int, Upcaster]] = {}
    """By the version they begin with; each class has its own."""

    def __init_subclass__(  # noqa: PLR0913 -- class arguments, all by keyword
        cls,
        *,
        topic: str | None = None,
        key: str | None = None,
        version: int = 1,
        name: str | None = None,
        domain: str | None = None,
        sequence: str | None = None,
        idempotency_key: str | None = None,
        retain: bool = False,
        foreign: Foreign | None = None,
        newer: Newer | None = None,
    ) -> None:
        super().__init_subclass__()
        if domain is not None:
            cls.__domain__ = domain
        cls.__event__ = None
        cls.__upcasters__ = {}
        if topic is None:
            return
        require(topic, str, f"class {cls.__name__}(Event, topic={topic!r}): must be of type str")
        full = name or (f"{cls.__domain__}.{cls.__name__}" if cls.__domain__ else cls.__name__)
        cls.__event__ = EventType(
            name=full,
            version=version,
            topic=Topic(topic),
            key=key,
            sequence=sequence,
            idempotency_key=idempotency_key,
            retain=retain,
            foreign=foreign,
            newer=newer,
        )

    @classmethod
    def upcast(cls, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
        """Register what turns the fields of *from_version* into those of the next version.

        The class then reads events of that version. An exception makes an event undecodable.
        """
        declared = event_type(cls)
        where = f"{cls.__name__}.upcast(from_version={from_version!r})"
        require(from_version, int, f"{where}: versions are numbers")
        if not 0 < from_version < declared.version:
            raise ConfigurationError(f"{where}: the class is version {declared.version}")
        if from_version in cls.__upcasters__:
            raise ConfigurationError(f"{where}: there is one already")

        def register(step: Upcaster) -> Upcaster:
            cls.__upcasters__[from_version] = step
            return step

        return register

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:  # noqa: ANN401 -- as above
        declared = cls.__event__
        if declared is not None:
            _check(cls, declared)


def event_type(event: type[Event] | Event) -> EventType:
    """Tell the wire identity of an event or its class; raise ConfigurationError if it has none."""
    cls = event if isinstance(event, type) else type(event)
    if not is_class_of(cls, Event):
        raise ConfigurationError(
            f"{cls.__name__} is no event: an event is made from a class derived from Event"
        )
    declared = cls.__event__
    if declared is None:
        raise ConfigurationError(
            f"{cls.__name__} has no topic: declare class {cls.__name__}(Event, topic='…')"
        )
    return declared


def partition_key(event: Event) -> str | None:
    """Tell what keeps *event* in order with its kin, or None if nothing does."""
    field = event_type(event).key
    if field is None:
        return None
    value: object = getattr(event, field)
    return None if value is None else str(value)


def _check_kinds(where: str, declared: EventType) -> None:
    for argument, kind in KINDS.items():
        value: object = getattr(declared, argument)
        require(value, kind, f"{where}: {argument}={value!r} must be of type {kind.__name__}")


def _check(cls: type[Event], declared: EventType) -> None:
    where = f"class {cls.__name__}(Event, …)"
    _check_kinds(where, declared)
    if not NAME.fullmatch(declared.name):
        raise ConfigurationError(
            f"{where}: the name {declared.name!r} must begin with a letter and hold only letters, "
            "digits, '_', '-' and '.'"
        )
    if declared.newer is not None and declared.newer not in get_args(Newer):
        known = ", ".join(map(repr, get_args(Newer)))
        raise ConfigurationError(f"{where}: newer={declared.newer!r}: give one of {known}")
    if declared.version < 1:
        raise ConfigurationError(f"{where}: versions count from 1, not {declared.version}")
    if declared.numbered and (declared.key is None or AUTO in cls.model_fields):
        raise ConfigurationError(
            f"{where}: sequence='auto' numbers the events of each key: name a key, and let no "
            "field be called 'auto'"
        )
    named = {
        "key": declared.key,
        "sequence": None if declared.numbered else declared.sequence,
        "idempotency_key": declared.idempotency_key,
        **{f"topic field {field!r}": field for field in declared.topic.fields},
    }
    for argument, field in named.items():
        if field is not None and field not in cls.model_fields:
            known = ", ".join(cls.model_fields) or "none"
            raise ConfigurationError(
                f"{where}: {argument} names no field {field!r} (fields: {known})"
            )
