"""Where tests keep what they fetch once: a folder of the user's, outside the tree."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def cache() -> Path:
    """Return the folder; make it if it is not there."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "choreo"
    root.mkdir(parents=True, exist_ok=True)
    return root


@contextmanager
def lock(path: Path) -> Generator[None]:
    """Hold *path* against other runs that fetch the same."""
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
