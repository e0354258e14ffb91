"""Files that are written where somebody said, who is told if that does not go."""

import os.path
from pathlib import Path

from choreo.errors import ConfigurationError


def write(path: Path, text: str) -> None:
    """Write *text* to a file, and make the folders that it lies in; raise ConfigurationError."""
    _put(path, text, "w")


def append(path: Path, text: str) -> None:
    """Add *text* to a file, and make the folders that it lies in; raise ConfigurationError."""
    _put(path, text, "a")


def _put(path: Path, text: str, mode: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        # Path.is_file raises where a folder may not be looked into, or a name is too long.
        blocking = next((one for one in path.parents if os.path.isfile(one)), None)  # noqa: PTH113
        why = error.strerror if blocking is None else f"{blocking} is no folder"
        if blocking is None and error.filename not in (None, str(path)):
            why = f"{why} ({error.filename})"
        raise ConfigurationError(f"{path} cannot be written: {why}: name another place") from error
