"""A text in the editor of whoever is at the terminal."""

import os
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from choreo.errors import ConfigurationError

FALLBACK = "vi"


def edited(text: str, name: str) -> str:
    """Let somebody edit *text* as a file called *name*, which nobody else can read, and return it.

    Raises ConfigurationError if the editor that VISUAL or EDITOR names cannot be started or fails.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK
    with TemporaryDirectory(prefix="choreo-") as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(command), str(file)], check=True)  # noqa: S603 -- the user's own editor
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(f"the editor {command!r} failed: {error}") from error
