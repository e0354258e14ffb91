"""Options as people write them, in URLs and elsewhere, and what is said of those that are wrong."""

from collections.abc import Collection, Iterable

from pydantic import ValidationError

from choreo.errors import ConfigurationError


def options(
    pairs: Iterable[tuple[str, str]], known: Collection[str], where: str
) -> dict[str, object]:
    """Take a URL's query; raise ConfigurationError for unknown options, and for one given twice."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name not in known:
            raise ConfigurationError(
                f"{where}: unknown option {name!r} (known: {', '.join(sorted(known))})"
            )
        if name in found:
            raise ConfigurationError(f"{where}: option {name!r} is given twice")
        found[name] = value
    return found


def problems(error: ValidationError) -> str:
    """Say what is wrong with which option, without the values: they may be secret."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}"
        for each in error.errors(include_input=False, include_url=False)
    )
