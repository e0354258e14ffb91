"""The committed contracts, ``schemas/<topic>/<event>/<version>.avsc``: found by event or bytes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form
from pydantic import JsonValue

from choreo.contracts.canonical import meaning
from choreo.contracts.derive import derive
from choreo.contracts.difference import differences
from choreo.errors import ConfigurationError
from choreo.event import Event, event_type
from choreo.files import write

URN = "urn:choreo:avro:sha256:"
"""Before the meaning of a contract, as ``dataschema`` names it."""
MEANING_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Contract:
    """One schema, ready to write or read with."""

    schema: JsonValue
    parsed: str | list[Any] | dict[str, Any]
    """As the Avro library keeps it."""
    fingerprint: bytes
    """CRC-64-AVRO of the canonical form, little-endian, as single-object encoding has it."""
    digest: str
    """SHA-256 of the whole schema, words for people included."""
    meaning: str
    """SHA-256 of what its data mean: unlike the fingerprint it tells scales apart."""
    origin: str

    @property
    def uri(self) -> str:
        """What the CloudEvents attribute ``dataschema`` says."""
        return f"{URN}{self.meaning}"


class SchemaFolder:
    """A folder of committed contracts, read when first needed."""

    def __init__(self, root: Path | str = "schemas") -> None:
        self.root = Path(root)
        self._contracts: dict[bytes, list[Contract]] | None = None

    def path(self, event: type[Event], version: int | None = None) -> Path:
        """Tell where the contract of *event* is kept, or that of another *version* of it."""
        declared = event_type(event)
        version = version or declared.version
        return self.root / declared.topic.flat / declared.name / f"{version}.avsc"

    def committed(self, event: type[Event]) -> Contract:
        """Read the contract of *event*, which must say what the class says.

        Raises ConfigurationError if it is missing, unreadable or different.
        """
        path = self.path(event)
        command = f"choreo contracts export {event.__module__}:{event.__qualname__}"
        if not path.is_file():
            raise ConfigurationError(
                f"{event.__name__} has no contract at {path}: run '{command}' and commit it"
            )
        kept = read_contract(path)
        found = differences(kept.schema, derive(event))
        if found:
            version = event_type(event).version
            raise ConfigurationError(
                f"{event.__name__} and its contract {path} differ at {found[0]}: a contract in use "
                f"does not change, so declare version={version + 1}; if version {version} was "
                f"never published, run '{command} --force'"
            )
        return kept

    def load(self) -> Mapping[bytes, Sequence[Contract]]:
        """Read every contract, once; raise ConfigurationError for a file that is none."""
        if self._contracts is None:
            contracts: dict[bytes, list[Contract]] = {}
            for path in sorted(self.root.glob("**/*.avsc")):
                kept = read_contract(path)
                contracts.setdefault(kept.fingerprint, []).append(kept)
            self._contracts = contracts
        return self._contracts

    def find(self, mark: bytes) -> Sequence[Contract]:
        """Tell the contracts with this fingerprint; several if they differ only in meaning."""
        return self.load().get(mark, ())

    def export(self, event: type[Event]) -> Path:
        """Write the contract that *event* derives to its place, and tell it."""
        path = self.path(event)
        write(path, schema_text(derive(event)))
        self._contracts = None
        return path


def named_meaning(dataschema: str | None) -> str | None:
    """Tell the meaning of the contract that *dataschema* names; None for a name of others."""
    if dataschema is None or not dataschema.startswith(URN):
        return None
    told = dataschema.removeprefix(URN)
    return told if len(told) == MEANING_DIGITS and set(told) <= set("0123456789abcdef") else None


def contract(schema: JsonValue, origin: str) -> Contract:
    """Make *schema* ready; raise ConfigurationError if it is none."""
    if not isinstance(schema, (str, list, dict)):
        raise ConfigurationError(f"{origin} is no Avro schema")
    try:
        parsing = to_parsing_canonical_form(schema)
        return Contract(
            schema=schema,
            parsed=parse_schema(schema),
            fingerprint=bytes.fromhex(fingerprint(parsing, "CRC-64-AVRO")),
            digest=_hash(schema),
            meaning=_hash(meaning(schema)),
            origin=origin,
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigurationError(f"{origin} is no Avro schema: {error}") from error


def _hash(schema: JsonValue) -> str:
    return sha256(json.dumps(schema, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def schema_text(schema: JsonValue) -> str:
    """Write *schema* as it is kept in a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def read_contract(path: Path) -> Contract:
    """Read one committed contract; raise ConfigurationError if it is none."""
    try:
        text = path.read_text(encoding="utf-8")
        return _contract(text, str(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the contract {path} cannot be read: {error}") from error


@lru_cache(maxsize=256)
def _contract(text: str, origin: str) -> Contract:
    """Make the contract in *text* ready: once, however often a service starts in this process."""
    schema: JsonValue = json.loads(text)
    return contract(schema, origin)
