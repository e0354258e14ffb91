"""The contracts in schemas/ are what the example's classes say, to the letter."""

import json
from io import BytesIO
from pathlib import Path

import avro.io
import avro.schema
import pytest

from choreo.codec.avro import HEADER, AvroCodec, SchemaFolder
from choreo.codec.schema_folder import schema_text
from choreo.contracts.derive import derive
from choreo.event import Event, event_type
from choreo.resend import ResendRequested
from examples.order_fulfilment.services import inventory, notification, order, payment, shipping
from tests.contracts.samples import SAMPLES

ROOT = Path(__file__).parents[2]
FOLDER = SchemaFolder(ROOT / "schemas")
SERVICES = (order, payment, inventory, shipping, notification)
EMITTED = sorted(
    {event for service in SERVICES for plan in service.plans for event in plan.emits}
    | {ResendRequested},
    key=lambda event: event_type(event).type,
)


@pytest.mark.parametrize("event", EMITTED, ids=lambda event: event.__name__)
def test_what_the_example_emits_has_a_contract_that_says_what_its_class_says(
    event: type[Event],
) -> None:
    """Mended by `choreo contracts export`, with a new version where the old one is in use."""
    assert FOLDER.path(event).read_text(encoding="utf-8") == schema_text(derive(event))


def test_no_contract_is_left_over() -> None:
    assert sorted(FOLDER.root.rglob("*.avsc")) == sorted(map(FOLDER.path, EMITTED))


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_apache_avro_reads_what_choreo_writes_by_the_committed_file_and_writes_it_the_same(
    event: Event,
) -> None:
    schema = avro.schema.parse(FOLDER.path(type(event)).read_text(encoding="utf-8"))
    data = AvroCodec(FOLDER).encoder(type(event))(event).data[HEADER:]

    datum = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(BytesIO(data)))
    again = BytesIO()
    avro.io.DatumWriter(schema).write(datum, avro.io.BinaryEncoder(again))

    assert json.loads(json.dumps(datum, default=str)) == json.loads(event.model_dump_json())
    assert again.getvalue() == data


def test_every_event_with_a_contract_has_a_sample() -> None:
    assert {type(event) for event in SAMPLES} == set(EMITTED)
