"""Names that Avro allows."""

import re

from choreo.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def check_name(name: str, where: str) -> None:
    """Raise ConfigurationError unless Avro can use *name* for a type, a field or a symbol."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where} {name!r} cannot be used in Avro: letters, digits and '_', no digit first"
        )
