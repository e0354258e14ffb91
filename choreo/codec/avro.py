"""Avro payloads: what names the writer's schema, and the datum.

Written is single-object encoding, or the registry's frame where one is to be used; both are read,
and a registry's header in place of them.

Sources: Apache Avro 1.12 specification, "Single-object encoding" and "Schema Resolution";
Confluent's wire format, a zero byte and the schema's id, or a header of the record with its GUID.
"""

import logging
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Generic, NamedTuple, cast

import fastavro
from pydantic import ValidationError

from choreo.codec import Codec, E, Payload
from choreo.codec.compiled import Reader, compiled
from choreo.codec.compiled_writer import Writer, compiled_writer
from choreo.codec.datum import Convert, from_datum, to_datum
from choreo.codec.guard import check_schema
from choreo.codec.newer import unreadable
from choreo.codec.problems import Describe
from choreo.codec.schema_folder import Contract, SchemaFolder, contract, named_meaning
from choreo.codec.unwritten import without_defaults
from choreo.contracts.annotations import shape_of
from choreo.contracts.deprecation import Deprecated, deprecated_by
from choreo.contracts.derive import record_schema
from choreo.contracts.resolution import Kind, obstacles, spell_path
from choreo.contracts.schema import Schema, read_schema
from choreo.contracts.shape import Record
from choreo.envelope import AVRO, Envelope
from choreo.errors import ConfigurationError, DecodeError, EncodeError, UnknownSchema
from choreo.event import Event, event_type
from choreo.registry.library import (
    FINGERPRINT_BYTES,
    GUID_BYTES,
    GUID_MARK,
    ID_BYTES,
    ID_MARK,
    Library,
)
from choreo.upcast import Chain, brought_up, chains, newer_version

logger = logging.getLogger(__name__)

__all__ = ["AvroCodec", "SchemaFolder"]

# The library types its streams as IO without a parameter.
read_datum = cast("Callable[..., Any]", fastavro.schemaless_reader)  # pyright: ignore[reportUnknownMemberType]
write_datum = cast("Callable[..., None]", fastavro.schemaless_writer)  # pyright: ignore[reportUnknownMemberType]

MARK = b"\xc3\x01"
HEADER = 10
"""Bytes before the datum: the mark and the fingerprint."""
MAX_BYTES = 4 * 1024 * 1024
MAX_READERS = 256


class AvroCodec:
    """Writes events by their committed contracts, and reads them by the writer's.

    A payload whose fingerprint is of no contract in the folder is an UnknownSchema, unless the
    *library* of a registry knows it. What the registry has to be asked for is a SchemaPending.
    """

    def __init__(
        self,
        schemas: SchemaFolder | None = None,
        *,
        library: Library | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._schemas = schemas or SchemaFolder()
        self._library = library
        self._max_bytes = max_bytes

    @property
    def content_types(self) -> tuple[str, ...]:
        """Media types this format reads, lower case, without parameters; it writes the first."""
        return (AVRO,)

    def encoder(self, event: type[E], /) -> Callable[[E], Payload]:
        """Compose the function that writes *event*; it raises EncodeError.

        Raises ConfigurationError if the event has no committed contract, or another one, and
        SchemaPending while the registry has not told the id that goes with it.
        """
        committed = self._schemas.committed(event)
        uri, prefix = committed.uri, MARK + committed.fingerprint
        if self._library is not None and self._library.frames:
            prefix = self._library.prefix(event)
        shape = shape_of(event)
        write = compiled_writer(shape, prefix) or library_writer(shape, prefix, committed.parsed)

        def encode(value: E) -> Payload:
            try:
                return Payload(write(value), uri)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 -- the library raises whatever it stumbles on
                kind = type(error).__name__
            raise EncodeError(f"{event.__name__} cannot be written as Avro ({kind})")

        return encode

    def decoder(self, event: type[E], /) -> Callable[[Envelope], E]:
        """Compose the function that reads *event*; it raises DecodeError and nothing else.

        Raises ConfigurationError for a class Avro cannot express, or a contract that is no schema.
        """
        reading = _Reading(event, self._schemas, self._library)
        max_bytes = self._max_bytes

        def decode(envelope: Envelope) -> E:
            data = envelope.data
            if data is None:
                raise DecodeError(f"{event.__name__}: there is no data (a tombstone)")
            if len(data) > max_bytes:
                raise DecodeError(f"{event.__name__}: more than {max_bytes} bytes of Avro")
            if data[:2] == MARK and len(data) >= HEADER and envelope.schema_header is None:
                return reading.read(envelope, data, data[2:HEADER], HEADER)
            mark, start = _frame(event, envelope.schema_header, data)
            return reading.read(envelope, data, mark, start)

        return decode


def _frame(event: type[Event], header: bytes | None, data: bytes) -> tuple[bytes, int]:
    """Tell what names the schema of a payload, and where its datum begins; raise DecodeError."""
    if header is not None:
        if (header[:1], len(header)) in {(GUID_MARK, GUID_BYTES), (ID_MARK, ID_BYTES)}:
            return header, 0
        raise DecodeError(f"{event.__name__}: the header __value_schema_id names no schema")
    if data[:1] == ID_MARK and len(data) >= ID_BYTES:
        return data[:ID_BYTES], ID_BYTES
    raise DecodeError(
        f"{event.__name__}: no Avro in single-object encoding or in a registry's frame"
    )


class _Way(NamedTuple):
    """How the payloads of one writer are read."""

    read: Reader
    chain: Chain | None
    """The steps from an older version to the class."""
    convert: Convert


def library_writer(shape: Record, prefix: bytes, parsed: object) -> Writer:
    """Compose what writes an event behind *prefix* by the library."""
    convert = to_datum(shape)

    def write(event: object) -> bytes:
        stream = BytesIO()
        stream.write(prefix)
        write_datum(stream, parsed, convert(event), strict=True)
        return stream.getvalue()

    return write


def library_reader(parsed: object, resolved: object = None) -> Reader:
    """Compose what reads a datum by the library, resolved to another schema if there is one."""

    def read(data: bytes, start: int) -> tuple[object, int]:
        stream = BytesIO(data)
        stream.seek(start)
        return read_datum(stream, parsed, resolved), stream.tell()

    return read


class _Reading(Generic[E]):
    """Everything that reading one event class takes: one reader, and the writers met so far."""

    def __init__(self, event: type[E], schemas: SchemaFolder, library: Library | None) -> None:
        shape = shape_of(event)
        self._event = event
        self._schemas = schemas
        self._library = library
        # Now, not at the first event: a file that is no schema is the operator's to mend at start.
        schemas.load()
        self._own = contract(record_schema(shape), f"class {event.__name__}")
        self._resolved = without_defaults(self._own.parsed)
        self._convert = from_datum(shape)
        self._convert_resolved = from_datum(shape, resolved=True)
        self._validate: Callable[[Any], E] = event.__pydantic_validator__.validate_python
        self._describe = Describe(event)
        self._older = chains(event)
        self._told: set[str] = set()
        self._ways: dict[tuple[bytes, str | None, str], _Way] = {}
        self._readers: dict[tuple[str, bool], Reader] = {}

    def _way(self, mark: bytes, envelope: Envelope) -> _Way:
        """Find out how a payload is read; judge the schema that wrote it when it is first met."""
        key = (mark, envelope.dataschema, envelope.type)
        found = self._ways.get(key)
        if found is None:
            writer = self._choose(*key)
            written = self._judge(writer, envelope.type)
            if len(self._ways) >= MAX_READERS:
                self._ways.clear()
            found = self._ways[key] = self._made(writer, written, self._older.get(envelope.type))
        return found

    def _made(self, writer: Contract, written: Schema, chain: Chain | None) -> _Way:
        same = chain is None and writer.meaning == self._own.meaning
        as_written = same or chain is not None
        # By what was judged, and not by what an envelope says of it: compiling takes milliseconds.
        key = writer.digest, as_written
        if key not in self._readers:
            own = None if as_written else read_schema(self._own.schema)
            resolved = None if as_written else self._resolved
            read = compiled(written, own) or library_reader(writer.parsed, resolved)
            if len(self._readers) >= MAX_READERS:
                self._readers.clear()
            self._readers[key] = read
        convert = self._convert if same else self._convert_resolved
        return _Way(self._readers[key], chain, convert)

    def read(self, envelope: Envelope, data: bytes, mark: bytes, start: int) -> E:
        """Read *data* from *start* by the schema that wrote it, which *mark* names.

        Raises DecodeError, or SchemaPending while the schema must be asked for, and nothing else.
        """
        read, chain, convert = self._way(mark, envelope)
        try:
            datum, end = read(data, start)
            if end == len(data):
                datum = brought_up(cast("dict[str, Any]", datum), chain) if chain else datum
                return self._validate(convert(datum))
            problem = f"{self._event.__name__}: bytes are left over behind the datum"
        except ValidationError as error:
            problem = self._describe(error)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- the library raises whatever it stumbles on
            problem = f"{self._event.__name__}: {type(error).__name__} while reading Avro"
        # Raised out here so that no error that knows the payload hangs on this one (D10).
        raise DecodeError(problem)

    def _choose(self, mark: bytes, dataschema: str | None, kind: str) -> Contract:
        """Pick the contract that is named, by a registry or by a fingerprint of it.

        A fingerprint leaves out scales, so that contracts of different meanings may share it:
        ``dataschema`` tells which is meant, and without it the event's name and version.
        """
        if len(mark) != FINGERPRINT_BYTES:
            return self._registered(mark)
        told = named_meaning(dataschema)
        found = [*self._schemas.find(mark)]
        if self._own.fingerprint == mark:
            found.append(self._own)
        meant = [one for one in found if told in (None, one.meaning)]
        if not meant and self._library is not None:
            return self._library.writer(mark + bytes.fromhex(told or ""), self._event)
        if not meant:
            other = " and the meaning that dataschema names" if found else ""
            raise UnknownSchema(
                f"{self._event.__name__}: no contract in {self._schemas.root} has the fingerprint "
                f"{mark[::-1].hex()}{other}"
            )
        if len({one.meaning for one in meant}) > 1:
            name, _, version = kind.rpartition(".v")
            meant = [one for one in meant if one.origin.endswith(f"{name}/{version}.avsc")]
            if len({one.meaning for one in meant}) != 1:
                raise UnknownSchema(
                    f"{self._event.__name__}: several contracts have the fingerprint "
                    f"{mark[::-1].hex()}, and nothing in the envelope tells which is meant"
                )
        return meant[0]

    def _tell(self, found: Iterable[Deprecated], kind: str) -> None:
        """Warn once of each field that its writers mean to drop, and that is still read here."""
        for one in found:
            if one.field not in self._told:
                self._told.add(one.field)
                names = {"event_type": kind, "field": one.field, "says": one.says}
                logger.warning("a field that is read is deprecated by who writes it", extra=names)

    def _registered(self, mark: bytes) -> Contract:
        if self._library is None:
            raise UnknownSchema(
                f"{self._event.__name__}: its schema is in a registry, and none is known here: set "
                "registry=http://…"
            )
        return self._library.writer(mark, self._event)

    def _judge(self, writer: Contract, kind: str) -> Schema:
        """Refuse what would harm, or be read as something else where nobody converts it.

        A newer version is refused if anything that it can say could not be read.
        """
        try:
            check_schema(writer.schema)
            written = read_schema(writer.schema, writer.origin)
        except (ValueError, ConfigurationError) as error:
            raise DecodeError(f"{self._event.__name__}: {writer.origin}: {error}") from error
        own = read_schema(self._own.schema)
        self._tell(deprecated_by(written, own), kind)
        newer = newer_version(event_type(self._event), kind) is not None
        for one in () if kind in self._older else obstacles(reader=own, writer=written):
            if newer:
                raise unreadable(self._event, kind, one)
            if one.kind in {Kind.MEANING, Kind.AMBIGUOUS}:
                raise DecodeError(
                    f"{self._event.__name__}: {writer.origin} means something else at "
                    f"{spell_path(one.path)}: {one.written} is no {one.read}"
                )
        return written


_: type[Codec] = AvroCodec
