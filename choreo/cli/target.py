"""``module:attribute``: what a command is told to work on, imported."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from types import ModuleType
from typing import TypeGuard, cast

from choreo.errors import ChoreoError, ConfigurationError
from choreo.event import Event, event_type
from choreo.service import Service
from choreo.telemetry.text import error_type, told


def services(targets: Sequence[str]) -> list[Service]:
    """Import every service; raise ConfigurationError for what is none, or named twice."""
    found: dict[str, str] = {}
    result: list[Service] = []
    for target in targets:
        service = _service(target)
        if service.name in found:
            raise ConfigurationError(
                f"{found[service.name]} and {target} are both the service {service.name!r}: "
                "name each once, or give one of them another name"
            )
        found[service.name] = target
        result.append(service)
    return result


def event_class(target: str) -> type[Event]:
    """Import one concrete event class; raise ConfigurationError if it is none."""
    value = imported(target, Event)
    if _is_event(value):
        event_type(value)
        return value
    raise ConfigurationError(f"{target} is {_what(value)}, no Event class")


def service_or_event(target: str) -> Service | type[Event]:
    """Import a service or a concrete event class; raise ConfigurationError if it is neither."""
    value = imported(target, Event)
    return event_class(target) if _is_event(value) else _service(target)


def imported(target: str, kind: type) -> object:
    """Import *target*; *kind* helps to say what there is instead."""
    name, colon, path = target.partition(":")
    if not (name and colon and path):
        raise ConfigurationError(
            f"{target!r}: write module:attribute, such as shop.app:{kind.__name__.lower()}"
        )
    value: object = _module(name)
    module = value
    for part in path.split("."):
        try:
            value = cast("object", getattr(value, part))
        except AttributeError:
            raise ConfigurationError(
                f"module {name} has no {path!r}{_suggestion(module, path, kind)}"
            ) from None
    return value


def _service(target: str) -> Service:
    value = imported(target, Service)
    if _is_service(value):
        return value
    if isinstance(value, type) or not callable(value):
        raise ConfigurationError(
            f"{target} is {_what(value)}, neither a Service nor a function that returns one"
        )
    try:
        made = cast("Callable[[], object]", value)()
    except ChoreoError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{target}() failed: {error_type(error)}: {told(error)}"
        ) from error
    if not _is_service(made):
        raise ConfigurationError(f"{target}() returned {_what(made)}, no Service")
    return made


def _module(name: str) -> ModuleType:
    folder = os.getcwd()  # noqa: PTH109 -- sys.path holds text
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ChoreoError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"no module {name!r} (looked in {folder} and on the Python path)"
            ) from error
        raise ConfigurationError(f"module {name} cannot be imported: {error}") from error
    except SystemExit as error:  # a script without `if __name__ == "__main__"` would end us with 0
        raise ConfigurationError(
            f"module {name} cannot be imported: it ends the process: SystemExit: {told(error)}"
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"module {name} cannot be imported: {error_type(error)}: {told(error)}"
        ) from error


def _suggestion(module: object, path: str, kind: type) -> str:
    """Say what the author may have meant: a close name, or all things of the wanted kind."""
    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, kind) or (isinstance(value, type) and issubclass(value, kind))
        if value is not kind
    ]
    close = get_close_matches(path, names, n=1) or names[:5]
    return f" (did you mean {', '.join(close)}?)" if close else ""


def _is_event(value: object) -> TypeGuard[type[Event]]:
    return isinstance(value, type) and issubclass(value, Event)


def _is_service(value: object) -> TypeGuard[Service]:
    return isinstance(value, Service)


def _what(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
