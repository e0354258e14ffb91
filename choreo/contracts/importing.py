"""Contracts that others wrote, as event classes that derive back to them."""

from types import ModuleType

from pydantic import JsonValue, PydanticUserError

from choreo.contracts.class_source import Declaration, class_source
from choreo.contracts.derive import derive
from choreo.contracts.difference import differences
from choreo.contracts.schema import read_schema, unqualified
from choreo.errors import ConfigurationError
from choreo.event import Event


def event_source(schema: JsonValue, declaration: Declaration, origin: str) -> str:
    """Write the module of an event class that derives back to *schema*.

    Raises ConfigurationError, naming *origin*, for what no event class says.
    """
    try:
        source = class_source(read_schema(schema, origin), declaration)
        found = differences(schema, derive(_made(source, schema)))
    except (ConfigurationError, PydanticUserError, TypeError) as error:
        raise ConfigurationError(f"{origin} makes no event class: {error}") from error
    if found:
        raise ConfigurationError(
            f"{origin} makes no event class: it would derive to another contract, "
            f"{'; '.join(map(str, found[:3]))}"
        )
    return source


def _made(source: str, schema: JsonValue) -> type[Event]:
    """Make the class, of what was written from checked names and quoted texts only."""
    module = ModuleType("imported_contract")
    exec(compile(source, "imported contract", "exec"), module.__dict__)  # noqa: S102 -- as said
    name = unqualified(str(schema.get("name"))) if isinstance(schema, dict) else ""
    made: object = module.__dict__[name]
    if isinstance(made, type) and issubclass(made, Event):
        return made
    raise ConfigurationError(f"{name} is no event")
