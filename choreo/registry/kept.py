"""Ids that a registry gave, kept beside the contracts: for a start while the registry is down.

``schemas/registry.json`` says for each registry, by its URL, which contract has which id there.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from choreo.errors import ConfigurationError
from choreo.files import write

NAME = "registry.json"
_Kept = dict[str, dict[str, int]]
_ADAPTER = TypeAdapter[_Kept](_Kept)


def read_ids(folder: Path, url: str) -> Mapping[str, int]:
    """Read the ids of contracts, by their digests, in the registry at *url*; none without a file.

    Raises ConfigurationError for a file of another form.
    """
    return _read(folder / NAME).get(url, {})


def keep_ids(folder: Path, url: str, ids: Mapping[str, int]) -> Path:
    """Write down *ids* beside those that are known; return the file."""
    path = folder / NAME
    known = _read(path)
    known[url] = dict(sorted({**known.get(url, {}), **ids}.items()))
    write(path, json.dumps(dict(sorted(known.items())), indent=2) + "\n")
    return path


def _read(path: Path) -> _Kept:
    try:
        return _ADAPTER.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        kind = type(error).__name__
        raise ConfigurationError(
            f"{path} cannot be read ({kind}): write it anew with 'choreo registry register'"
        ) from error
