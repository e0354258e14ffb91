"""What was broken on purpose: kept beside the contract, with the reason, for that contract only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from choreo.errors import ConfigurationError
from choreo.files import write


class _File(BaseModel, extra="forbid"):
    """What the file holds."""

    contract: str
    because: str
    breaks: list[str]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A decision to break with somebody."""

    because: str
    covers: frozenset[str]


def acceptance_path(folder: Path, number: int) -> Path:
    """Tell where the decision about a version is kept."""
    return folder / f"{number}.accepted.json"


def read_acceptance(folder: Path, number: int, digest: str) -> Acceptance | None:
    """Read the decision about a version; None if there is none about the contract of *digest*.

    Raises ConfigurationError for a file that is none.
    """
    path = acceptance_path(folder, number)
    if not path.is_file():
        return None
    try:
        kept = _File.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    # Of another contract than the one that was looked at, nothing was accepted.
    return Acceptance(kept.because, frozenset(kept.breaks)) if kept.contract == digest else None


def write_acceptance(
    folder: Path, number: int, digest: str, *, because: str, breaks: Sequence[str]
) -> Path:
    """Keep a decision, and tell where."""
    path = acceptance_path(folder, number)
    kept = _File(contract=digest, because=because, breaks=sorted(breaks))
    text = json.dumps(kept.model_dump(), indent=2, ensure_ascii=False)
    write(path, text + "\n")
    return path
