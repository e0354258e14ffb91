"""What a program declares, checked at run time too: not everybody runs a type checker."""

import re
from inspect import isasyncgenfunction, isgeneratorfunction

from choreo.errors import ConfigurationError

SERVICE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE | re.ASCII)


def require(value: object, kind: type[object], complaint: str) -> None:
    """Raise ConfigurationError with *complaint* unless *value* is a *kind*, or None."""
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(complaint)


def require_manager(value: object, where: str) -> None:
    """Raise ConfigurationError for a generator function that nobody made a context manager of."""
    decorator = "@asynccontextmanager" if isasyncgenfunction(value) else "@contextmanager"
    if isasyncgenfunction(value) or isgeneratorfunction(value):
        raise ConfigurationError(f"{where}: decorate the generator function with {decorator}")


def require_service_name(name: str) -> None:
    """Raise ConfigurationError unless a service can have this name."""
    if not SERVICE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"service name {name!r}: use letters, digits, '.', '_' and '-', at most 100"
        )


def is_class_of(value: object, kind: type[object]) -> bool:
    """Tell whether *value* is a class, and *kind* or derived from it."""
    return isinstance(value, type) and issubclass(value, kind)
