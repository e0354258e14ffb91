"""What a valid AsyncAPI document must also keep to, and no JSON Schema can say."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue


def problems(document: dict[str, Any]) -> list[str]:
    """List where *document* breaks one of the four rules."""
    return [
        *dangling(document, document, "#"),
        *strayed(document),
        *undeclared(document),
        *incoherent(document),
    ]


def resolve(document: dict[str, Any], reference: str) -> Any:  # noqa: ANN401 -- JSON
    here: Any = document
    for step in reference.removeprefix("#/").split("/"):
        here = here[step.replace("~1", "/").replace("~0", "~")]
    return here


def dangling(document: dict[str, Any], part: JsonValue, where: str) -> Iterator[str]:
    """Tell references that lead nowhere."""
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str):
            try:
                resolve(document, reference)
            except (KeyError, TypeError):
                yield f"{where}: {reference} leads nowhere"
        for name, inner in part.items():
            yield from dangling(document, inner, f"{where}/{name}")
    elif isinstance(part, list):
        for index, inner in enumerate(part):
            yield from dangling(document, inner, f"{where}/{index}")


def strayed(document: dict[str, Any]) -> Iterator[str]:
    """Tell messages of operations that are not those of their channel."""
    for name, operation in document.get("operations", {}).items():
        channel = operation["channel"]["$ref"]
        for message in operation.get("messages", []):
            if not message["$ref"].startswith(f"{channel}/messages/"):
                yield f"operations/{name}: {message['$ref']} is no message of {channel}"


def undeclared(document: dict[str, Any]) -> Iterator[str]:
    """Tell channels whose parameters are not those of their address."""
    for name, channel in document.get("channels", {}).items():
        used = set(re.findall(r"\{([^{}]+)\}", channel["address"]))
        if used != set(channel.get("parameters", {})):
            yield f"channels/{name}: {channel['address']} has the parameters {sorted(used)}"


def incoherent(document: dict[str, Any]) -> Iterator[str]:
    """Tell messages with the place of a schema's id where no registry is known."""
    servers = document.get("servers", {}).values()
    known = any("schemaRegistryUrl" in one.get("bindings", {}).get("kafka", {}) for one in servers)
    told = {"schemaIdLocation", "schemaIdPayloadEncoding", "schemaLookupStrategy"}
    for name, message in document.get("components", {}).get("messages", {}).items():
        if not known and told & set(message.get("bindings", {}).get("kafka", {})):
            yield f"messages/{name}: the id of a schema, and no registry"
