"""Let atheris look for what nobody thought of: ``make fuzz TARGET=avro_codec SECONDS=300``.

What it finds interesting it adds to the corpus of the target; keep what shows something new.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def main(name: str, seconds: str) -> None:
    """Fuzz one target for so long."""
    if name not in TARGETS:
        sys.exit(f"no target {name!r}: there are {', '.join(TARGETS)}")
    try:
        atheris: Any = import_module("atheris")
    except ImportError:
        sys.exit("atheris is not here: pip install atheris, which needs Linux and clang's runtime")
    folder = CORPUS / name
    folder.mkdir(exist_ok=True)
    options = [f"-max_total_time={seconds}", "-timeout=1", "-rss_limit_mb=512", "-max_len=65536"]
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], str(folder), *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:3])
