"""What Maven Central has, fetched once into the user's cache."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.local.cache import cache, lock
from tests.local.process import AbsentError, StartError

BUDGET = 600.0
"""Seconds for all that one call brings."""


def fetched(what: str, name: str, arguments: Sequence[str], pom: str | None = None) -> Path:
    """Return the folder *name* of the cache, filled by Maven with *arguments* if it is not there.

    Raises AbsentError, which names *what* there is none of then, where Java or Maven are missing.
    """
    if shutil.which("java") is None:
        raise AbsentError(f"no {what}: no 'java' on the PATH (Debian: default-jre-headless)")
    home = cache() / name
    if home.is_dir():
        return home
    if shutil.which("mvn") is None:
        raise AbsentError(f"no {what}: no 'mvn' on the PATH to fetch it (Debian: maven)")
    with lock(home.parent / f"{name}.lock"):
        if not home.is_dir():
            _fetch(home, arguments, pom)
    return home


def _fetch(home: Path, arguments: Sequence[str], pom: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        if pom is not None:
            Path(scratch, "pom.xml").write_text(pom)
        done = subprocess.run(
            [
                *("mvn", "--batch-mode", "--quiet"),
                # A repository of its own: what is unpacked need not stay there packed, too.
                f"-Dmaven.repo.local={scratch}/maven",
                f"-DoutputDirectory={scratch}/fetched",
                *arguments,
            ],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=scratch,
            timeout=BUDGET,
        )
        if done.returncode != 0:
            raise StartError(f"Maven could not fetch {home.name}:\n{done.stdout[-2000:]}")
        Path(scratch, "fetched").rename(home)
