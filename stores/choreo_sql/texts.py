"""Ids and sources as they are kept: short, and text that any database takes."""

import re
from functools import lru_cache
from hashlib import sha256

LONGEST = 200
"""Characters above which a text is kept as its hash: no index holds keys of any length (I11)."""
HASHED = "sha256:"
SOURCES = 256
"""Sources of which it is remembered what stands for them: most services hear of a few."""
PLAIN = re.compile(rf"(?!{HASHED})[ -~\xa0-\ud7ff\ue000-\U0010ffff]{{1,{LONGEST}}}")
"""What is kept as it is: no control characters (PostgreSQL has no NUL), no lone surrogates, and
nothing that could be taken for a hash."""


def compact(text: str) -> str:
    """Return what stands for *text* in a key: itself where it can, and the same one every time."""
    if PLAIN.fullmatch(text):
        return text
    return HASHED + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


compact_source = lru_cache(SOURCES)(compact)
"""Returns what stands for a source."""
