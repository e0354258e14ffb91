"""Topic names: plain, or templates over an event's fields that serve any broker."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from choreo.errors import ConfigurationError, EncodeError

FIELD = re.compile(r"\{([^{}]*)\}")
LITERAL = re.compile(r"[A-Za-z0-9._\-/]+")
SAFE = "-_.~:@,= "
"""What a filled-in value keeps as it is, beside letters and digits."""
MAX_FLAT_LENGTH = 249
"""Longest topic name Kafka takes."""


@dataclass(frozen=True)
class Topic:
    """A topic declaration such as ``orders`` or ``building/{building}/temperature``.

    On a broker with topic levels the template is filled per event and subscribed with ``+`` in
    place of each field; elsewhere the fixed levels are joined with dots and serve all events.
    """

    template: str

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise ConfigurationError(f"topic {self.template!r}: {problem}")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields in the template, in order."""
        return tuple(FIELD.findall(self.template))

    @property
    def flat(self) -> str:
        """The one name on brokers without topic levels: fixed levels joined with dots."""
        fixed = [level for level in self.template.split("/") if not FIELD.search(level)]
        return ".".join(fixed)

    @property
    def filter(self) -> str:
        """The subscription on brokers with topic levels: ``+`` in place of each field."""
        return "/".join("+" if FIELD.search(level) else level for level in self.template.split("/"))

    def fill(self, values: Mapping[str, object]) -> str:
        """Fill the template for brokers with topic levels; raise EncodeError for an unusable value.

        Values are percent-encoded, so that no payload can add a level or a wildcard.
        """
        return FIELD.sub(lambda match: self._segment(match[1], values), self.template)

    def values(self, name: str) -> dict[str, str]:
        """Read the fields back out of a filled topic; empty when *name* does not fit."""
        parts = FIELD.split(self.template)
        pattern = "".join(
            re.escape(part)
            if index % 2 == 0
            else f"(?P={part})"
            if part in parts[1:index:2]  # the same field is the same value
            else f"(?P<{part}>[^/]+)"
            for index, part in enumerate(parts)
        )
        match = re.fullmatch(pattern, name)
        return (
            {field: unquote(value) for field, value in match.groupdict().items()} if match else {}
        )

    def _segment(self, field: str, values: Mapping[str, object]) -> str:
        text = str(values[field])
        if not text:
            raise EncodeError(f"topic {self.template!r}: field {field!r} is empty")
        try:
            return quote(text, safe=SAFE)
        except UnicodeEncodeError as error:
            raise EncodeError(
                f"topic {self.template!r}: field {field!r} is no Unicode text"
            ) from error

    def _problem(self) -> str | None:  # noqa: PLR0911 -- a list of rules
        fixed = FIELD.sub("", self.template)
        if not self.template or not fixed.strip("/"):
            return "name at least one fixed level"
        if "{" in fixed or "}" in fixed:
            return "braces must enclose a field name"
        if not LITERAL.fullmatch(fixed) or "//" in self.template:
            return "use letters, digits, '.', '_', '-' and single '/' between levels"
        if self.template.startswith("/") or self.template.endswith("/"):
            return "do not begin or end with '/'"
        for level in self.template.split("/"):
            if FIELD.search(level) and not FIELD.fullmatch(level):
                return f"a field must fill its whole level, unlike {level!r}"
        if not all(field.isidentifier() for field in self.fields):
            return "a field is named by an identifier"
        if len(self.flat) > MAX_FLAT_LENGTH:
            return f"the fixed part is longer than {MAX_FLAT_LENGTH} characters"
        return None
