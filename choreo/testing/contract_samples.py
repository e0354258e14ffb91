"""Code, contracts and samples held together: ``for_each_contract_sample`` in a test.

Samples of an event are those at the edges of its class, any that hypothesis makes, and *golden*
ones: events that were written once and must be read ever after, kept beside the contract in
``schemas/<topic>/<event>/<version>.samples.jsonl``. Those of earlier versions come as the class
reads them, through its upcasters.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import JsonValue

from choreo.codec import Codec, Payload
from choreo.codec.avro import AvroCodec
from choreo.codec.json import JsonCodec
from choreo.codec.schema_folder import SchemaFolder, contract, read_contract
from choreo.contracts.derive import derive
from choreo.contracts.difference import differences
from choreo.contracts.resolution import obstacles, spell_path
from choreo.contracts.schema import read_schema
from choreo.envelope import AVRO, Envelope
from choreo.errors import CodecError, ConfigurationError
from choreo.event import Event, event_type
from choreo.service import Service
from choreo.settings import Settings
from choreo.testing.event_values import any_of, edges_of
from choreo.upcast import chains

Check = Callable[[Any], object]
"""What a test says about every sample; whatever it raises fails the test."""
JSON = "application/json"
_HEALTH = (HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large)


class Kind(StrEnum):
    """Where a sample comes from."""

    EDGE = "edge"
    ANY = "any"
    GOLDEN = "golden"


@dataclass(frozen=True, slots=True)
class Formats:
    """Both ways to write an event, by the contracts of one folder."""

    folder: SchemaFolder
    json: Codec
    avro: Codec

    @classmethod
    def of(cls, schemas: Path) -> "Formats":
        """Make both."""
        folder = SchemaFolder(schemas)
        return cls(folder, JsonCodec(), AvroCodec(folder))


class ContractSamples:
    """Calls a check with every sample of events; what ``for_each_contract_sample`` is."""

    def __init__(self, *, write: bool = False) -> None:
        self._write = write

    def __call__(
        self,
        subject: Service[Any] | type[Event],
        check: Check | None = None,
        *,
        schemas: Path | None = None,
        examples: int = 50,
    ) -> None:
        """Hold the events of *subject* to their contracts and samples, and *check* each sample.

        A service stands for what its handlers emit and take. What it emits, or an event that is
        named alone, must have a contract that says what the class says, and golden samples, which
        are written by ``pytest --choreo-samples=write`` where there are none. What it only takes
        must be able to read the contract and the samples that there are. *examples* is the number
        of events that hypothesis makes of each class.
        """
        folder = schemas or _schemas(subject)
        for event, owned in _events(subject):
            formats = Formats.of(folder)
            one = _Subject(event, owned=owned, formats=formats, check=check)
            one.hold_contract()
            if owned and self._write:
                one.write_golden()
            one.hold_golden()
            one.hold_edges()
            one.hold_any(examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Golden:
    """One event as it was written once."""

    type: str
    json: bytes
    avro: bytes | None


class _Subject:
    """One event class."""

    def __init__(
        self, event: type[Event], *, owned: bool, formats: Formats, check: Check | None
    ) -> None:
        self._event = event
        self._declared = event_type(event)
        self._owned = owned
        self._formats = formats
        self._check = check
        self._contract = formats.folder.path(event)
        self._avro = _speaks_avro(event) and (owned or self._contract.is_file())
        self._encoders: dict[Codec, Callable[[Event], Payload]] = {}
        self._decoders: dict[Codec, Callable[[Envelope], Event]] = {}

    def hold_contract(self) -> None:
        """Fail unless the file says what the class says, or the class reads a mere copy."""
        if not _speaks_avro(self._event):
            return
        if self._owned:
            try:
                self._formats.folder.committed(self._event)
            except ConfigurationError as error:
                pytest.fail(str(error), pytrace=False)
        elif self._contract.is_file():
            written = read_contract(self._contract)
            found = obstacles(
                reader=read_schema(derive(self._event), self._event.__name__),
                writer=read_schema(written.schema, written.origin),
            )
            if found:
                self._fail(
                    f"it cannot read its contract {self._contract} at "
                    f"{', '.join(spell_path(one.path) for one in found)}"
                )

    def write_golden(self) -> None:
        """Keep the edges of the class as they are written, unless samples are there already."""
        path = self._path(self._declared.version)
        if _there(path):
            return
        lines = [
            json.dumps(
                {
                    "type": self._declared.type,
                    "json": json.loads(self._written(one, self._formats.json).data),
                    "avro": b64encode(self._written(one, self._formats.avro).data).decode()
                    if self._avro
                    else None,
                }
            )
            for one in edges_of(self._event)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def hold_golden(self) -> None:
        """Read what was written once, by this version and by all that the class converts."""
        own = self._path(self._declared.version)
        if self._owned and not _there(own):
            self._fail(f"it has no samples at {own}: pytest --choreo-samples=write writes them")
        versions = {self._declared.type: self._declared.version}
        versions |= {kind: int(kind.rpartition(".v")[2]) for kind in chains(self._event)}
        for kind, version in sorted(versions.items(), key=lambda item: item[1]):
            path = self._path(version)
            if path.is_file() and not _there(path):
                self._fail(f"{path} holds no samples: take back what it held, or remove it")
            for number, golden in enumerate(_read(path, kind), 1):
                self._hold_golden(golden, f"{path}:{number}")

    def _hold_golden(self, golden: _Golden, where: str) -> None:
        event = self._reread(Payload(golden.json), golden.type, JSON, where)
        if golden.avro is not None:
            other = self._reread(Payload(golden.avro), golden.type, AVRO, where)
            if other != event:
                self._fail(f"{where} reads as {event!r} in JSON and as {other!r} in Avro")
        if golden.type == self._declared.type and self._owned:
            again = json.loads(self._written(event, self._formats.json).data)
            if _unordered(again) != _unordered(json.loads(golden.json)):
                self._fail(f"{where} would be written as {json.dumps(again)} now")
        self._checked(event, Kind.GOLDEN, where)

    def hold_edges(self) -> None:
        """Check the edges of the class."""
        for event in edges_of(self._event):
            self._hold(event, Kind.EDGE)

    def hold_any(self, examples: int) -> None:
        """Check what hypothesis makes."""
        if not examples:
            return

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=[*_HEALTH],
        )
        @given(any_of(self._event))
        def hold(event: Event) -> None:
            self._hold(event, Kind.ANY)

        hold()

    def _hold(self, event: Event, kind: Kind) -> None:
        """Write and read *event* in both formats, and check it."""
        for codec, content_type in ((self._formats.json, JSON), (self._formats.avro, AVRO)):
            if (content_type == AVRO and not self._avro) or not self._writes(codec):
                continue
            payload = self._written(event, codec)
            read = self._reread(payload, self._declared.type, content_type, repr(event))
            if read != event:
                self._fail(f"{event!r} is read as {read!r} when written as {content_type}")
        self._checked(event, kind, repr(event))

    def _writes(self, codec: Codec) -> bool:
        """Tell whether the class may write: Avro is written by a contract that it says itself."""
        if codec is self._formats.json or self._owned:
            return True
        written = read_contract(self._contract)
        return not differences(written.schema, derive(self._event))

    def _written(self, event: Event, codec: Codec) -> Payload:
        if codec not in self._encoders:
            self._encoders[codec] = codec.encoder(self._event)
        try:
            return self._encoders[codec](event)
        except CodecError as error:
            self._fail(f"{event!r} cannot be written: {error}")

    def _reread(self, payload: Payload, kind: str, content_type: str, where: str) -> Event:
        codec = self._formats.avro if content_type == AVRO else self._formats.json
        if codec not in self._decoders:
            self._decoders[codec] = codec.decoder(self._event)
        envelope = Envelope(
            id="sample",
            source="urn:choreo:samples",
            type=kind,
            data=payload.data,
            content_type=content_type,
            dataschema=payload.dataschema,
        )
        try:
            return self._decoders[codec](envelope)
        except CodecError as error:
            self._fail(f"{where} cannot be read as {content_type}: {error}")

    def _checked(self, event: Event, kind: Kind, where: str) -> None:
        if self._check is None:
            return
        try:
            self._check(event)
        except AssertionError as error:
            error.add_note(f"{self._declared.type}, {kind} sample: {where}")
            raise

    def _path(self, version: int) -> Path:
        return self._contract.with_name(f"{version}.samples.jsonl")

    def _fail(self, what: str) -> NoReturn:
        pytest.fail(f"{self._event.__name__} ({self._declared.type}): {what}", pytrace=False)


def _there(path: Path) -> bool:
    """Tell whether there are samples: an empty file holds nobody to anything."""
    return path.is_file() and bool(path.read_bytes().strip())


def _read(path: Path, kind: str) -> Iterator[_Golden]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            told: dict[str, JsonValue] = json.loads(line)
            avro = told["avro"]
            yield _Golden(
                type=kind,
                json=json.dumps(told["json"]).encode(),
                avro=None if avro is None else b64decode(str(avro)),
            )
        except (ValueError, KeyError, TypeError) as error:
            pytest.fail(f"{path} holds no samples: {error!r}", pytrace=False)


def _events(subject: Service[Any] | type[Event]) -> Sequence[tuple[type[Event], bool]]:
    """List the classes, and whether their contract is the subject's own."""
    if not isinstance(subject, Service):
        return [(subject, True)]
    emitted = {event for plan in subject.plans for event in plan.emits}
    taken = {plan.event for plan in subject.plans} - emitted
    found = [(event, True) for event in emitted] + [(event, False) for event in taken]
    return sorted(found, key=lambda one: event_type(one[0]).type)


def _schemas(subject: Service[Any] | type[Event]) -> Path:
    return subject.settings().schemas if isinstance(subject, Service) else Settings.load().schemas


def _speaks_avro(event: type[Event]) -> bool:
    try:
        contract(derive(event), event.__name__)
    except ConfigurationError:
        return False
    return True


def _unordered(value: object) -> object:
    """Put what lists hold in one order: sets are written as lists, in any."""
    if isinstance(value, Mapping):
        named = cast("Mapping[str, object]", value)
        return {name: _unordered(one) for name, one in named.items()}
    if isinstance(value, list):
        return sorted(map(_unordered, cast("list[object]", value)), key=json.dumps)
    return value
