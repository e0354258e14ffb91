"""Apache's own checker, as an oracle."""

import json

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from tests.contracts.schemas import JsonSchema


def apache_reads(reader: JsonSchema, writer: JsonSchema) -> bool:
    """Tell whether Apache's checker lets *reader* read what *writer* writes."""
    ours, theirs = (avro.schema.parse(json.dumps(one)) for one in (reader, writer))
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # the library's
    found = checker.get_compatibility(ours, theirs)
    return found.compatibility is SchemaCompatibilityType.compatible
