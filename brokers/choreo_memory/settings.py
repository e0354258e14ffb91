"""What a ``memory://`` URL says."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from choreo.errors import ConfigurationError

TOPIC = re.compile(r"[A-Za-z0-9._\-]{1,249}")
"""Topic names as Kafka takes them, so that what runs in memory runs there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One in-memory broker: ``memory://name?partitions=8&retention=10000&max_message_bytes=…``."""

    name: str
    partitions: int = 8
    """Partitions of a topic that nobody has prepared."""
    retention: int = 10_000
    """Records a partition keeps for late readers once every group has settled them; what a group
    has not settled is always kept."""
    max_message_bytes: int | None = None
    """Largest body, key and headers together; None for any size."""

    @classmethod
    def parse(cls, url: str) -> "Settings":
        """Read *url*; raise ConfigurationError for what is not understood."""
        parts = urlsplit(url)
        if parts.scheme != "memory":
            raise ConfigurationError(f"broker {url!r}: the memory adapter serves memory:// only")
        if parts.fragment or "@" in parts.netloc:
            raise ConfigurationError(
                f"broker {url!r}: write memory://name, with ?option=value if need be"
            )
        options: dict[str, int] = {}
        for option, value in parse_qsl(parts.query, keep_blank_values=True):
            least = LEAST.get(option)
            if least is None:
                known = ", ".join(LEAST)
                raise ConfigurationError(
                    f"broker {url!r}: unknown option {option!r} (known: {known})"
                )
            if not value.isdecimal() or int(value) < least:
                raise ConfigurationError(
                    f"broker {url!r}: {option} must be a whole number ≥ {least}"
                )
            options[option] = int(value)
        return cls(name=(parts.netloc + parts.path).strip("/"), **options)


LEAST = {"partitions": 1, "retention": 0, "max_message_bytes": 1}
"""Options of the URL, and the least value of each."""


def topic_problem(name: str) -> str | None:
    """Say why *name* is no topic name; None if it is one."""
    if TOPIC.fullmatch(name) and name not in {".", ".."}:
        return None
    return f"topic {name!r}: use 1 to 249 letters, digits, '.', '_' and '-'"
