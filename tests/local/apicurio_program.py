"""Apicurio Registry as a program from Maven Central, fetched once into the user's cache."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.local.cache import cache, lock
from tests.local.process import AbsentError, StartError

APICURIO_VERSION = "3.0.9"
"""The last line of versions that Java 17 runs."""
FETCH_BUDGET = 300.0

_ARTIFACT = f"io.apicurio:apicurio-registry-app:{APICURIO_VERSION}:tar.gz:all"


def apicurio_program() -> Path:
    """Return the jar that runs it, beside its libraries; fetch 110 MB when it is not cached."""
    if shutil.which("java") is None:
        raise AbsentError(
            "no schema registry: no 'java' on the PATH (Debian: default-jre-headless)"
        )
    home = cache() / f"apicurio-registry-{APICURIO_VERSION}"
    if not home.is_dir():
        if shutil.which("mvn") is None:
            raise AbsentError(
                "no schema registry: no 'mvn' on the PATH to fetch it (Debian: maven)"
            )
        with lock(home.parent / f"{home.name}.lock"):
            if not home.is_dir():
                _fetch(home)
    return home / f"apicurio-registry-app-{APICURIO_VERSION}-runner.jar"


def _fetch(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        # A repository of its own: what is unpacked need not stay there packed, too.
        done = subprocess.run(
            [
                *("mvn", "--batch-mode", "--quiet"),
                f"-Dmaven.repo.local={scratch}/maven",
                f"-Dartifact={_ARTIFACT}",
                f"-DoutputDirectory={scratch}/program",
                "dependency:unpack",
            ],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=scratch,
            timeout=FETCH_BUDGET,
        )
        if done.returncode != 0:
            raise StartError(f"Maven could not fetch {_ARTIFACT}:\n{done.stdout[-2000:]}")
        Path(scratch, "program").rename(home)
