"""What a program declares, checked at run time too: not everybody runs a type checker."""

from choreo.errors import ConfigurationError


def require(value: object, kind: type[object], complaint: str) -> None:
    """Raise ConfigurationError with *complaint* unless *value* is a *kind*, or None."""
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(complaint)


def is_class_of(value: object, kind: type[object]) -> bool:
    """Tell whether *value* is a class, and *kind* or derived from it."""
    return isinstance(value, type) and issubclass(value, kind)
