"""Let atheris look for what nobody thought of: ``make fuzz TARGET=avro_codec SECONDS=300``.

It begins with the corpus that the tests keep, and puts what leads it further, and what breaks
something, into a folder ``.fuzz`` beside that: whatever broke something belongs into the corpus.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

OURS = ["choreo", "choreo_kafka", "choreo_mqtt", "choreo_registry"]
"""Whose branches are watched: to watch those of everything imported takes minutes to begin with."""
CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(__file__).parents[2] / ".fuzz"


def main(name: str, seconds: str) -> None:
    """Fuzz one target for so long."""
    try:
        atheris: Any = import_module("atheris")
    except ImportError:
        sys.exit("atheris is not here: pip install atheris, which needs Linux and clang's runtime")
    with atheris.instrument_imports(include=OURS):
        targets: Any = import_module("tests.fuzz.targets").TARGETS
    if name not in targets:
        sys.exit(f"no target {name!r}: there are {', '.join(targets)}")
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        "-timeout=1",
        "-rss_limit_mb=512",
        "-max_len=65536",
        f"-artifact_prefix={found}/broke-",
    ]
    atheris.Setup([sys.argv[0], str(found), str(CORPUS / name), *options], targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:3])
