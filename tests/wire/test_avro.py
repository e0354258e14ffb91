"""Avro payloads: written by the committed contract, read by the writer's, refused by name."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, cast
from uuid import UUID

import avro.io
import avro.schema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from choreo.codec.avro import HEADER, AvroCodec, SchemaFolder
from choreo.codec.schema_folder import contract, schema_text
from choreo.contracts.derive import derive
from choreo.envelope import AVRO, Envelope
from choreo.errors import ConfigurationError, DecodeError, EncodeError, UnknownSchema
from choreo.event import Event
from tests.wire.events import Address, Card, Channel, Money, Priority, Shipped, Transfer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.integers(-(2**50), 2**52).map(lambda us: EPOCH + timedelta(microseconds=us))
money = st.decimals(-(10**9), 10**9, places=2)
addresses = st.builds(Address, street=text, city=text)
longs = st.integers(-(2**63), 2**63 - 1)

shipments = st.builds(
    Shipped,
    site=text,
    order=st.uuids(),
    total=money,
    at=moments,
    due=st.dates(),
    weight=st.floats(allow_nan=False, allow_infinity=False),
    count=longs,
    fragile=st.booleans(),
    label=st.binary(max_size=20),
    channel=st.sampled_from(Channel),
    priority=st.sampled_from(Priority),
    address=addresses,
    second=st.none() | addresses,
    payment=st.builds(Card, digits=text)
    | st.builds(Transfer, iban=text, priority=st.sampled_from(Priority)),
    tags=st.lists(text, max_size=4),
    codes=st.lists(longs, max_size=4).map(tuple),
    notes=st.dictionaries(text, text, max_size=4),
    parts=st.lists(addresses, max_size=3),
    measure=longs | text,
    state=st.sampled_from(["new", "sent"]),
    rebate=money,
    since=moments,
    remark=st.none() | text,
    amount=longs,
    old=longs,
    serial=st.uuids(),
)


def sample(**changes: object) -> Shipped:
    values: dict[str, Any] = {
        "site": "a",
        "order": UUID(int=1),
        "total": Decimal("12.30"),
        "at": datetime(2026, 1, 31, tzinfo=UTC),
        "due": date(2026, 2, 1),
        "weight": 1.5,
        "count": 3,
        "fragile": True,
        "label": b"\x00\xff",
        "channel": Channel.WEB,
        "priority": Priority.HIGH,
        "address": Address(street="x"),
        "payment": Transfer(iban="AT"),
    }
    return Shipped.model_validate({**values, **changes})


def wrapped(data: bytes | None, *, kind: str = "", dataschema: str | None = None) -> Envelope:
    return Envelope(
        id="1", source="s", type=kind, data=data, content_type=AVRO, dataschema=dataschema
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SchemaFolder:
    made = SchemaFolder(tmp_path_factory.mktemp("schemas"))
    made.export(Shipped)
    return made


@pytest.fixture(scope="module")
def both(folder: SchemaFolder) -> tuple[Callable[[Shipped], bytes], Callable[[bytes], Shipped]]:
    codec = AvroCodec(folder)
    encode, decode = codec.encoder(Shipped), codec.decoder(Shipped)
    return lambda event: encode(event).data, lambda data: decode(wrapped(data))


Both = tuple[Callable[[Shipped], bytes], Callable[[bytes], Shipped]]


@given(event=shipments)
@settings(max_examples=40, deadline=None)
def test_every_event_survives_the_trip(both: Both, event: Shipped) -> None:
    encode, decode = both

    assert decode(encode(event)) == event


@given(event=shipments)
@settings(max_examples=20, deadline=None)
def test_apache_avro_writes_and_reads_the_same_bytes(both: Both, event: Shipped) -> None:
    encode, _ = both
    data = encode(event)[HEADER:]
    schema = avro.schema.parse(schema_text(derive(Shipped)))

    datum = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(BytesIO(data)))
    again = BytesIO()
    avro.io.DatumWriter(schema).write(datum, avro.io.BinaryEncoder(again))

    fields = cast("dict[str, Any]", datum)
    assert (fields["total"], fields["at"]) == (event.total, event.at)
    assert UUID(str(fields["order"])) == event.order
    assert again.getvalue() == data


class Plain(Event, topic="plain"):
    name: str
    parts: list[Address]
    counts: dict[str, int]
    second: Address | None = None


def test_the_frame_is_single_object_encoding(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path)
    schema = avro.schema.parse(folder.export(Plain).read_text())

    data = AvroCodec(folder).encoder(Plain)(Plain(name="a", parts=[], counts={})).data

    # Avro 1.12, "Single-object encoding": the mark, then CRC-64-AVRO, little-endian. The event has
    # no logical types because Apache's Python library leaves {"type": "string", "logicalType": …}
    # as it is in its canonical form, where the specification's [PRIMITIVES] wants "string".
    assert data[:2] == b"\xc3\x01"
    assert data[2:HEADER] == schema.fingerprint("CRC-64-AVRO")


def test_the_fingerprint_of_null_is_the_specifications() -> None:
    found = contract("null", "the specification's example")

    assert found.fingerprint == (0x63DD24E7CC258F8A).to_bytes(8, "little")


@given(data=st.binary(max_size=200))
@settings(deadline=None)
def test_random_bytes_raise_nothing_but_a_decode_error(both: Both, data: bytes) -> None:
    encode, decode = both

    for body in (data, encode(sample())[:HEADER] + data):
        with suppress(DecodeError):
            decode(body)


def test_every_truncation_and_every_byte_too_many_is_refused(both: Both) -> None:
    encode, decode = both
    data = encode(sample())

    for end in range(len(data)):
        with pytest.raises(DecodeError):
            decode(data[:end])
    with pytest.raises(DecodeError, match="left over"):
        decode(data + b"\x00")


def test_a_fingerprint_of_no_contract_is_an_unknown_schema(both: Both) -> None:
    encode, decode = both
    data = bytearray(encode(sample()))
    data[2] ^= 0xFF

    with pytest.raises(UnknownSchema, match="no contract"):
        decode(bytes(data))


def test_what_the_class_cannot_hold_is_told_without_its_value_d10(folder: SchemaFolder) -> None:
    class Strict(Event, topic="building/{site}/orders", name="com.example.Shipped", version=2):
        site: Annotated[str, Field(max_length=3)]

    data = AvroCodec(folder).encoder(Shipped)(sample(site="canary")).data

    with pytest.raises(DecodeError) as caught:
        AvroCodec(folder).decoder(Strict)(wrapped(data))
    assert str(caught.value) == "Strict: site: string_too_long"
    assert caught.value.__context__ is None


def test_a_naive_datetime_is_not_written(both: Both) -> None:
    encode, _ = both

    with pytest.raises(EncodeError):
        encode(sample(since=datetime(2026, 1, 1)))  # noqa: DTZ001 -- the point of the test


def test_an_integer_beyond_64_bits_is_not_written(both: Both) -> None:
    encode, _ = both

    with pytest.raises(EncodeError):
        encode(sample(count=2**63))


def test_an_event_without_a_contract_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"choreo contracts export tests\.wire\.events:Shipped"
    ):
        AvroCodec(SchemaFolder(tmp_path)).encoder(Shipped)


def test_an_event_that_left_its_contract_is_told_where(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path)
    path = folder.export(Shipped)
    path.write_text(path.read_text().replace('"scale": 2', '"scale": 3', 1))

    with pytest.raises(ConfigurationError, match=r"fields/total/type/scale.*version=3"):
        AvroCodec(folder).encoder(Shipped)


def test_a_contract_whose_docs_differ_is_the_same_contract(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path)
    path = folder.export(Shipped)
    path.write_text(path.read_text().replace("Free text.", "Any text."))

    AvroCodec(folder).encoder(Shipped)


def test_a_file_that_is_no_schema_is_named(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path)
    folder.path(Shipped).parent.mkdir(parents=True)
    folder.path(Shipped).write_text('{"type": "nonsense"}')

    for compose in (AvroCodec(folder).encoder, AvroCodec(folder).decoder):
        with pytest.raises(ConfigurationError, match=r"2\.avsc"):
            compose(Shipped)


class Old(Event, topic="sales", name="Sale", version=1):
    total: Money
    dropped: str = ""
    quantity: int = 1


class New(Event, topic="sales", name="Sale", version=2):
    total: Money
    amount: int = Field(default=0, alias="amount")
    note: str = "none"


def test_an_older_writer_is_read_by_the_newer_class(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path)
    folder.export(Old)
    data = AvroCodec(folder).encoder(Old)(Old(total=Decimal("1.50"), dropped="x")).data

    read = AvroCodec(folder).decoder(New)(wrapped(data))

    assert read == New(total=Decimal("1.50"), amount=0, note="none")


class Renamed(Event, topic="lots", name="Lot", version=1):
    total: Annotated[Decimal, Field(max_digits=9, decimal_places=2)]


class Rescaled(Event, topic="lots", name="Lot", version=2):
    total: Annotated[Decimal, Field(max_digits=9, decimal_places=3)]


def test_a_decimal_of_another_scale_is_refused_and_not_read_wrongly(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path)
    folder.export(Renamed)
    payload = AvroCodec(folder).encoder(Renamed)(Renamed(total=Decimal("1.50")))

    with pytest.raises(DecodeError, match="means something else at total"):
        AvroCodec(folder).decoder(Rescaled)(
            wrapped(payload.data, kind="Lot.v1", dataschema=payload.dataschema)
        )


def test_contracts_of_one_fingerprint_are_told_apart_by_dataschema_or_version(
    tmp_path: Path,
) -> None:
    folder = SchemaFolder(tmp_path)
    folder.export(Renamed)
    folder.export(Rescaled)
    payload = AvroCodec(folder).encoder(Rescaled)(Rescaled(total=Decimal("1.505")))
    decode = AvroCodec(folder).decoder(Rescaled)

    for known in (
        wrapped(payload.data, dataschema=payload.dataschema),
        wrapped(payload.data, kind="Lot.v2"),
    ):
        assert decode(known).total == Decimal("1.505")
    with pytest.raises(UnknownSchema, match="nothing in the envelope"):
        decode(wrapped(payload.data, kind="Other.v1"))


def test_an_amount_of_a_scale_that_no_contract_here_has_is_refused(tmp_path: Path) -> None:
    """Both scales have one fingerprint; which was written by is told by ``dataschema``."""
    theirs, own = SchemaFolder(tmp_path / "theirs"), SchemaFolder(tmp_path / "own")
    theirs.export(Rescaled)
    own.export(Renamed)
    payload = AvroCodec(theirs).encoder(Rescaled)(Rescaled(total=Decimal("1.505")))

    with pytest.raises(UnknownSchema, match="the meaning that dataschema names"):
        AvroCodec(own).decoder(Renamed)(
            wrapped(payload.data, kind="Lot.v2", dataschema=payload.dataschema)
        )


def test_words_for_people_that_changed_since_a_copy_was_made_change_nothing(
    tmp_path: Path,
) -> None:
    class Spoken(Event, topic="lots", name="Lot", version=1):
        """What is said now."""

        total: Annotated[Decimal, Field(max_digits=9, decimal_places=2, description="In cents.")]

    theirs, own = SchemaFolder(tmp_path / "theirs"), SchemaFolder(tmp_path / "own")
    theirs.export(Spoken)
    own.export(Renamed)
    payload = AvroCodec(theirs).encoder(Spoken)(Spoken(total=Decimal("1.50")))
    decode = AvroCodec(own).decoder(Renamed)

    for known in (
        wrapped(payload.data, kind="Elsewhere.v1", dataschema=payload.dataschema),
        wrapped(payload.data, kind="Elsewhere.v1"),
    ):
        assert decode(known) == Renamed(total=Decimal("1.50"))


def test_a_payload_over_the_cap_is_not_even_looked_at(folder: SchemaFolder) -> None:
    decode = AvroCodec(folder, max_bytes=100).decoder(Shipped)

    with pytest.raises(DecodeError, match="more than 100 bytes"):
        decode(wrapped(b"\xc3\x01" + bytes(200)))
