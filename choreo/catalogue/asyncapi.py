"""An AsyncAPI 3.1 document of services, on the brokers they are reached by.

Source: AsyncAPI 3.1.0, its Kafka binding 0.5.0 and MQTT binding 0.2.0, and the bindings of
CloudEvents 1.0, which put attributes into headers on Kafka and into user properties on MQTT.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from pydantic import JsonValue

from choreo.catalogue.landscape import Services, Subject, Version, doc_of, subjects
from choreo.contracts.lock import Contract, ServiceLock
from choreo.errors import ConfigurationError
from choreo.topic import Topic

AVRO = "application/vnd.apache.avro;version=1.9.0"
KAFKA_BINDING = "0.5.0"
MQTT_BINDING = "0.2.0"
_PORTS = {"kafka": 9092, "kafka-secure": 9093, "mqtt": 1883, "secure-mqtt": 8883}
_PROTOCOLS = {
    "kafka": "kafka",
    "kafka+ssl": "kafka-secure",
    "mqtt": "mqtt",
    "mqtts": "secure-mqtt",
}
Kind = Literal["kafka", "mqtt"]
Json = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Server:
    """A broker."""

    name: Kind
    protocol: str
    host: str
    registry: str | None = None
    """URL of the schema registry that goes with it, without credentials; only Kafka has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a document says of itself."""

    title: str
    version: str
    description: str | None = None


def server_of(url: str) -> Server | None:
    """Tell the server of a broker's URL, without credentials; None for one within a process.

    Raises ConfigurationError for a broker whose bindings are not known.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return None
    protocol = _PROTOCOLS.get(parts.scheme)
    if protocol is None:
        raise ConfigurationError(
            f"AsyncAPI's bindings for {parts.scheme}:// are not known here: give --broker "
            "kafka://… or mqtt://…"
        )
    host = parts.netloc.rpartition("@")[2] or f"localhost:{_PORTS[protocol]}"
    return Server("mqtt" if "mqtt" in protocol else "kafka", protocol, host)


def with_registry(server: Server, url: str) -> Server:
    """Put the registry at *url* beside a Kafka; AsyncAPI has no place for one beside MQTT.

    Raises ConfigurationError for what is no URL of one.
    """
    if server.name != "kafka":
        return server
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("the URL of the registry: write http://host:8081")
    return replace(server, registry=f"{parts.scheme}://{host}{parts.path.rstrip('/')}")


def document(services: Services, servers: Sequence[Server], info: Info) -> Json:
    """Describe *services* as they are reached by *servers*."""
    kinds: Sequence[Kind] = list(dict.fromkeys(one.name for one in servers)) or ["kafka"]
    found = subjects(services)
    channels: Json = {}
    operations: Json = {}
    messages: Json = {}
    for kind in kinds:
        naming = _Naming(kind, several=len(kinds) > 1)
        for subject in found:
            _add_channel(channels, subject, naming, known=bool(servers))
            for version in _current(subject):
                messages[naming.message(version.contract)] = _message(subject, version, kind)
        for name, lock in sorted(services.items()):
            operations |= dict(_operations(name, lock, naming))
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": info.title,
            "version": info.version,
            **({"description": info.description} if info.description else {}),
            "tags": [_tag(name, lock) for name, lock in sorted(services.items())],
        },
        "defaultContentType": _content_type(services),
        **({"servers": {one.name: _server(one) for one in servers}} if servers else {}),
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


@dataclass(frozen=True, slots=True)
class _Naming:
    """How things are called: with the broker's kind where there are several kinds."""

    kind: Kind
    several: bool

    def channel(self, contract: Contract) -> str:
        topic = Topic(contract.topic)
        return self._name(topic.template if self.kind == "mqtt" else topic.flat)

    def message(self, contract: Contract) -> str:
        return self._name(f"{contract.event}.v{contract.version}")

    def operation(self, action: str, service: str, contract: Contract) -> str:
        return self._name(f"{service}.{action}.{contract.event}.v{contract.version}")

    def _name(self, text: str) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", text.replace("{", "").replace("}", ""))
        return f"{name}.{self.kind}" if self.several else name


def _add_channel(channels: Json, subject: Subject, naming: _Naming, *, known: bool) -> None:
    """Describe where an event is published; several events may be there."""
    contracts = [version.contract for version in _current(subject)]
    name = naming.channel(contracts[0])
    channel = channels.setdefault(name, _channel(contracts[0].topic, naming, known=known))
    assert isinstance(channel, dict)  # noqa: S101 -- as it was made just now
    messages = channel["messages"]
    assert isinstance(messages, dict)  # noqa: S101 -- as above
    for contract in contracts:
        message = naming.message(contract)
        messages[message] = {"$ref": f"#/components/messages/{message}"}


def _channel(template: str, naming: _Naming, *, known: bool) -> Json:
    topic = Topic(template)
    mqtt = naming.kind == "mqtt"
    channel: Json = {"address": topic.template if mqtt else topic.flat}
    if known:
        channel["servers"] = [{"$ref": f"#/servers/{naming.kind}"}]
    if mqtt and topic.fields:
        channel["parameters"] = {
            field: {"description": f"The event's field {field}."} for field in topic.fields
        }
    channel["messages"] = {}
    if not mqtt:
        channel["bindings"] = {"kafka": {"topic": topic.flat, "bindingVersion": KAFKA_BINDING}}
    return channel


def _operations(name: str, lock: ServiceLock, naming: _Naming) -> Iterator[tuple[str, Json]]:
    for emission in lock.emits:
        bindings: Json = {}
        if naming.kind == "mqtt":
            bindings["mqtt"] = {
                "qos": 1, "retain": emission.retain, "bindingVersion": MQTT_BINDING
            }  # fmt: skip
        operation = _operation("send", name, emission, naming, bindings)
        yield (
            naming.operation("send", name, emission),
            {
                **operation,
                **({"x-choreo-handlers": [*emission.handlers]} if emission.handlers else {}),
            },
        )
    for taken in lock.consumes:
        group: Json = {"kafka": {
            "groupId": {"type": "string", "enum": [name]}, "bindingVersion": KAFKA_BINDING
        }}  # fmt: skip
        bindings = group if naming.kind == "kafka" else {
            "mqtt": {"qos": 1, "bindingVersion": MQTT_BINDING}
        }  # fmt: skip
        operation = _operation("receive", name, taken, naming, bindings)
        handlers: list[JsonValue] = [*taken.handlers]
        yield naming.operation("receive", name, taken), {**operation, "x-choreo-handlers": handlers}


def _operation(
    action: str, service: str, contract: Contract, naming: _Naming, bindings: Json
) -> Json:
    channel, message = naming.channel(contract), naming.message(contract)
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
        "tags": [{"name": service}],
        **({"bindings": bindings} if bindings else {}),
    }


def _message(subject: Subject, version: Version, kind: Kind) -> Json:
    contract = version.contract
    content_type = _written_as(subject)
    message: Json = {
        "name": f"{contract.event}.v{contract.version}",
        "title": contract.event,
        "contentType": content_type,
        "headers": _headers(contract, kind),
        "correlationId": {"location": f"$message.header#/{_prefix(kind)}correlationid"},
    }
    summary, _, more = doc_of(version.avro).partition("\n")
    if summary:
        message["summary"] = summary
    told = [more.strip(), f"Deprecated: {contract.deprecated}" if contract.deprecated else ""]
    if any(told):
        message["description"] = "\n\n".join(filter(None, told))
    if contract.deprecated is not None:
        message["tags"] = [{"name": "deprecated", "description": contract.deprecated}]
    if version.avro is not None:
        message["payload"] = {"schemaFormat": AVRO, "schema": version.avro}
    message["bindings"] = _message_bindings(contract, content_type, kind)
    return message


def _message_bindings(contract: Contract, content_type: str, kind: Kind) -> Json:
    if kind == "mqtt":
        text = 0 if content_type == "application/avro" else 1
        return {"mqtt": {
            "payloadFormatIndicator": text,
            "contentType": content_type,
            "bindingVersion": MQTT_BINDING,
        }}  # fmt: skip
    key: Json = {}
    if contract.key is not None:
        key = {"key": {"type": "string", "description": f"The event's field {contract.key}."}}
    return {"kafka": {**key, "bindingVersion": KAFKA_BINDING}}


def _headers(contract: Contract, kind: Kind) -> Json:
    """Describe the CloudEvents attributes as they come on a broker."""
    prefix = _prefix(kind)
    required: Mapping[str, Json] = {
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "format": "uri-reference"},
        "specversion": {"type": "string", "const": "1.0"},
        "type": {"type": "string", "const": f"{contract.event}.v{contract.version}"},
    }
    optional: Mapping[str, Json] = {
        "time": {"type": "string", "format": "date-time"},
        "correlationid": {"type": "string"},
        "causationid": {"type": "string"},
    }
    properties = {f"{prefix}{name}": one for name, one in {**required, **optional}.items()}
    return {
        "type": "object",
        "required": [f"{prefix}{name}" for name in required],
        "properties": {**properties},
    }


def _prefix(kind: Kind) -> str:
    return "ce_" if kind == "kafka" else ""


def _current(subject: Subject) -> list[Version]:
    """List the versions that somebody writes or reads; of others only files remain."""
    read = {one.consumption.version for one in subject.consumers}
    return [one for one in subject.versions if one.written or one.number in read]


def _written_as(subject: Subject) -> str:
    """Tell the content type of an event, as whoever writes it writes."""
    codecs = {one.lock.codec for one in subject.producers}
    return "application/avro" if codecs == {"avro"} else "application/json"


def _content_type(services: Services) -> str:
    codecs = {lock.codec for lock in services.values() if lock.emits}
    return "application/avro" if codecs == {"avro"} else "application/json"


def _server(one: Server) -> Json:
    more: Json = {"protocolVersion": "5"} if one.name == "mqtt" else {}
    if one.registry is not None:
        more["bindings"] = {"kafka": {
            "schemaRegistryUrl": one.registry,
            "schemaRegistryVendor": _vendor(one.registry),
            "bindingVersion": KAFKA_BINDING,
        }}  # fmt: skip
    return {"host": one.host, "protocol": one.protocol, **more}


def _vendor(registry: str) -> str:
    """Tell whose registry it is, as far as its URL does: all of them speak Confluent's API."""
    return "apicurio" if "/apis/ccompat/" in f"{registry}/" else "confluent"


def _tag(name: str, lock: ServiceLock) -> Json:
    return {"name": name, **({"description": f"Owner: {lock.owner}"} if lock.owner else {})}
