"""``choreo contracts import``: an event class of a contract that others wrote."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from choreo.contracts.class_source import Declaration
from choreo.contracts.importing import event_source
from choreo.errors import ConfigurationError
from choreo.files import write


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The options of ``choreo contracts import``."""

    file: Path
    topic: str | None = None
    key: str | None = None
    version: int | None = None
    output: Path | None = None


def write_class(order: Order) -> None:
    """Write the module of an event class; ConfigurationError for what no class says.

    Topic and version are what the path says, ``topic/event/version.avsc``, unless they are given.
    """
    try:
        schema: JsonValue = json.loads(order.file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the contract {order.file} cannot be read: {error}") from error
    source = event_source(schema, _declaration(order), str(order.file))
    if order.output is None:
        sys.stdout.write(source)
    elif order.output.exists():
        raise ConfigurationError(f"{order.output} is there already: name another file")
    else:
        write(order.output, source)


def _declaration(order: Order) -> Declaration:
    path = order.file.resolve()
    by_path = path.stem.isdecimal()
    topic = order.topic or (path.parent.parent.name if by_path else None)
    if topic is None:
        raise ConfigurationError(f"{order.file} does not say its topic: give --topic")
    version = order.version or (int(path.stem) if by_path else 1)
    return Declaration(topic=topic, version=version, key=order.key)
