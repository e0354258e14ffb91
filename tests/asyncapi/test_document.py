"""Documents of services are valid, and say what the services do."""

import json
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel, Field
from typing_extensions import deprecated

from choreo import Event, Service
from choreo.catalogue.asyncapi import Info, Server, document, server_of, with_registry
from choreo.contracts.lock import ServiceLock
from choreo.contracts.locking import lock_of
from choreo.errors import ConfigurationError
from examples.order_fulfilment.services import inventory, notification, order, payment, shipping
from tests.asyncapi.rules import problems

KAFKA = Server("kafka", "kafka", "localhost:9092")
MQTT = Server("mqtt", "mqtt", "localhost:1883")
Errors = Callable[[dict[str, Any]], list[str]]
INFO = Info(title="all", version="1.0.0", description="Everything.")
ON = {
    "nowhere": [],
    "kafka": [KAFKA],
    "mqtt": [MQTT],
    "both": [KAFKA, MQTT],
}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"

    @classmethod
    def _missing_(cls, value: object) -> "Colour":
        return {"": cls.RED}.get(str(value), cls.RED)


class Part(BaseModel, frozen=True):
    sku: str
    price: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Measured(Event, topic="building/{building}/room/{room}", key="room", retain=True):
    """A thermometer was read.

    Every minute, more or less.
    """

    building: str
    room: str
    colour: Colour = Colour.RED
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] = Field(default_factory=dict)
    old: int = Field(default=0, description="What was.", deprecated="read parts")
    maybe: Part | None = None


@deprecated("use Measured")
class Felt(Event, topic="building/{building}/room/{room}"):
    building: str
    room: str


class Unsaid(Event, topic="unsaid"):
    """Avro cannot say this, and JSON can."""

    anything: object


thermometers = Service("thermometers", owner="facilities <ops@example.com>")


@thermometers.on(Felt)  # type: ignore[deprecated]  # on purpose
async def measure(felt: Felt) -> Measured:  # type: ignore[deprecated]  # on purpose
    return Measured(building=felt.building, room=felt.room)


@thermometers.on(Unsaid)
async def listen(unsaid: Unsaid) -> None: ...


def locks(*services: Service) -> dict[str, ServiceLock]:
    return {service.name: lock_of(service, Path.cwd()) for service in services}


EXAMPLE = locks(order, payment, inventory, shipping, notification)
SERVICES = {
    "example": EXAMPLE,
    "thermometers": locks(thermometers),
    "all": {**EXAMPLE, **locks(thermometers)},
    **{name: {name: lock} for name, lock in EXAMPLE.items()},
}


@pytest.fixture(scope="module")
def errors(asyncapi_31: dict[str, object]) -> Errors:
    """Return a function that lists what the official schema has against a document."""
    validator: Any = Draft7Validator(asyncapi_31)

    def told(found: dict[str, Any]) -> list[str]:
        return [f"{[*one.absolute_path]}: {one.message}" for one in validator.iter_errors(found)]

    return told


@pytest.mark.parametrize(
    ("url", "told", "vendor"),
    [
        ("https://ann:hunter2@host:8081?cafile=ca.pem", "https://host:8081", "confluent"),
        ("http://host/apis/ccompat/v7/", "http://host/apis/ccompat/v7", "apicurio"),
    ],
)
def test_the_registry_is_named_beside_kafka_without_what_is_secret(
    errors: Errors, url: str, told: str, vendor: str
) -> None:
    servers = [with_registry(one, url) for one in (KAFKA, MQTT)]

    found: Any = document(EXAMPLE, servers, INFO)

    assert errors(found) == []
    assert found["servers"]["kafka"]["bindings"]["kafka"] == {
        "schemaRegistryUrl": told,
        "schemaRegistryVendor": vendor,
        "bindingVersion": "0.5.0",
    }
    assert "bindings" not in found["servers"]["mqtt"]


def test_what_is_no_registry_is_not_named() -> None:
    with pytest.raises(ConfigurationError, match="write http://host:8081"):
        with_registry(KAFKA, "ftp://ann:hunter2@host")


@pytest.mark.parametrize("where", ON)
@pytest.mark.parametrize("which", SERVICES)
def test_a_document_is_valid_by_the_official_schema_and_the_four_rules(
    errors: Errors, which: str, where: str
) -> None:
    found = document(SERVICES[which], ON[where], INFO)

    assert errors(found) == []
    assert problems(found) == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("operations", "payment.send.PaymentTaken.v1", "action"), "emit"),
        (("operations", "payment.receive.OrderPlaced.v1", "bindings", "mqtt", "qos"), 3),
        (("components", "messages", "OrderPlaced.v1", "payload", "schema", "fields"), "none"),
        (("info", "version"), 1),
    ],
)
def test_the_official_schema_finds_what_is_wrong(
    errors: Errors, path: tuple[str, ...], wrong: object
) -> None:
    found: Any = deepcopy(document(EXAMPLE, [MQTT], INFO))
    here = found
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = wrong

    assert errors(found)


def test_what_is_sent_and_received_is_there_by_its_service() -> None:
    found: Any = document(EXAMPLE, [KAFKA], INFO)

    sent = found["operations"]["payment.send.PaymentTaken.v1"]
    received = found["operations"]["shipping.receive.PaymentTaken.v1"]
    assert sent["action"] == "send"
    assert sent["channel"] == received["channel"] == {"$ref": "#/channels/payments"}
    assert received["bindings"]["kafka"]["groupId"]["enum"] == ["shipping"]
    assert {one["name"] for one in found["info"]["tags"]} == set(EXAMPLE)


def test_a_message_has_its_avro_schema_its_key_and_the_attributes_as_the_broker_has_them() -> None:
    kafka: Any = document(EXAMPLE, [KAFKA], INFO)
    mqtt: Any = document(EXAMPLE, [MQTT], INFO)

    on_kafka = kafka["components"]["messages"]["OrderPlaced.v1"]
    on_mqtt = mqtt["components"]["messages"]["OrderPlaced.v1"]
    committed = json.loads(Path("schemas/orders/OrderPlaced/1.avsc").read_text())
    assert on_kafka["payload"]["schema"] == committed
    assert on_kafka["payload"]["schemaFormat"] == "application/vnd.apache.avro;version=1.9.0"
    assert on_kafka["bindings"]["kafka"]["key"]["description"] == "The event's field order_id."
    assert on_kafka["headers"]["properties"]["ce_type"]["const"] == "OrderPlaced.v1"
    assert on_mqtt["headers"]["properties"]["type"]["const"] == "OrderPlaced.v1"
    assert on_kafka["correlationId"]["location"] == "$message.header#/ce_correlationid"


def test_one_template_is_a_topic_on_kafka_and_an_address_with_parameters_on_mqtt() -> None:
    found: Any = document(locks(thermometers), [KAFKA, MQTT], INFO)

    addresses = {one["address"]: one for one in found["channels"].values()}
    assert addresses["building/{building}/room/{room}"]["parameters"].keys() == {"building", "room"}
    assert addresses["building.room"]["bindings"]["kafka"]["topic"] == "building.room"
    send = found["operations"]["thermometers.send.Measured.v1.mqtt"]
    assert send["bindings"]["mqtt"] == {"qos": 1, "retain": True, "bindingVersion": "0.2.0"}


def test_what_is_deprecated_and_who_owns_it_is_told() -> None:
    found: Any = document(locks(thermometers), [MQTT], INFO)

    message = found["components"]["messages"]["Felt.v1"]
    assert message["description"] == "Deprecated: use Measured"
    assert found["info"]["tags"][0]["description"] == "Owner: facilities <ops@example.com>"


def test_what_avro_cannot_say_is_a_message_without_a_payload() -> None:
    found: Any = document(locks(thermometers), [KAFKA], INFO)

    assert "payload" not in found["components"]["messages"]["Unsaid.v1"]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        (
            "kafka://user:secret@one:9092,two:9092?tls=1",
            Server("kafka", "kafka", "one:9092,two:9092"),
        ),
        ("kafka+ssl://one:9093", Server("kafka", "kafka-secure", "one:9093")),
        ("mqtts://me:secret@broker", Server("mqtt", "secure-mqtt", "broker")),
        ("memory://", None),
    ],
)
def test_a_server_is_told_without_credentials(url: str, server: Server | None) -> None:
    assert server_of(url) == server


def test_a_broker_whose_bindings_are_unknown_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="bindings for amqp"):
        server_of("amqp://localhost")


BROKEN: dict[str, Any] = {
    "asyncapi": "3.1.0",
    "channels": {
        "a": {"address": "a/{b}", "messages": {"M": {"$ref": "#/components/messages/M"}}},
    },
    "operations": {
        "o": {
            "channel": {"$ref": "#/channels/a"},
            "messages": [{"$ref": "#/components/messages/M"}, {"$ref": "#/channels/a/messages/X"}],
        }
    },
    "components": {"messages": {"M": {"bindings": {"kafka": {"schemaIdLocation": "payload"}}}}},
}


def test_the_rules_find_what_they_are_for() -> None:
    assert problems(BROKEN) == [
        "#/operations/o/messages/1: #/channels/a/messages/X leads nowhere",
        "operations/o: #/components/messages/M is no message of #/channels/a",
        "channels/a: a/{b} has the parameters ['b']",
        "messages/M: the id of a schema, and no registry",
    ]
