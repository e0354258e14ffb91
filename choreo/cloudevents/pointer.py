"""JSON pointers (RFC 6901): a path into a parsed document."""

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from pydantic import JsonValue

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


class Absent(Enum):
    """The type of ABSENT."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""What is found where nothing is; None is a value that JSON knows."""


@lru_cache(maxsize=256)
def parse_pointer(pointer: str) -> tuple[str, ...] | None:
    """Split *pointer* into its steps; None if it is no JSON pointer."""
    if not _POINTER.fullmatch(pointer):
        return None
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def find(document: JsonValue, steps: Sequence[str] | None) -> JsonValue | Absent:
    """Follow *steps* into *document*; ABSENT if they lead nowhere."""
    found: JsonValue | Absent = document
    for step in steps or ():
        if isinstance(found, dict):
            found = found.get(step, ABSENT)
        elif isinstance(found, list) and _INDEX.fullmatch(step) and int(step) < len(found):
            found = found[int(step)]
        else:
            return ABSENT
    return found
