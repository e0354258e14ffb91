"""Tables in the pages that say what the code says, written from it.

`python -m tests.docs.tables` prints them, to be pasted where a test says that a row is missing.
"""

import ast
from collections.abc import Collection, Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from choreo import reason
from choreo.reason import Reason
from choreo.settings import Settings
from choreo.telemetry import conventions
from choreo_kafka.settings import NO_OPTIONS as NOT_OF_KAFKA
from choreo_kafka.settings import KafkaSettings
from choreo_mqtt.settings import NO_OPTIONS as NOT_OF_MQTT
from choreo_mqtt.settings import MqttSettings
from choreo_sql import SqlSettings


def settings() -> Iterator[str]:
    """Yield a row for each option of a service."""
    defaults = Settings().model_dump(mode="json")
    for name, field in Settings.model_fields.items():
        yield f"| `{name}` | `{defaults[name]}` | {field.description} |"


def kafka_options() -> Iterator[str]:
    """Yield a row for each option of a Kafka URL."""
    return _options(KafkaSettings, NOT_OF_KAFKA)


def mqtt_options() -> Iterator[str]:
    """Yield a row for each option of an MQTT URL."""
    return _options(MqttSettings, NOT_OF_MQTT)


def store_options() -> Iterator[str]:
    """Yield a row for each option of a SQL store's URL."""
    return _options(SqlSettings, ())


def metrics() -> Iterator[str]:
    """Yield a row for each metric."""
    for value in vars(conventions).values():
        if isinstance(value, conventions.Metric):
            yield f"| `{value.name}` | {value.description} |"


def reasons() -> Iterator[str]:
    """Yield a row for each reason, with the sentence that stands below it in the code."""
    (listing,) = (
        node
        for node in ast.parse(Path(reason.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    )
    sentences = [
        statement.value.value
        for statement in listing.body[1:]
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    ]
    for member, sentence in zip(Reason, sentences, strict=True):
        text = " ".join(str(sentence).split()).rstrip(".")
        yield f"| `{member.value}` | {text[0].lower()}{text[1:]} |"


def _options(model: type[BaseModel], others: Collection[str]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name not in others:
            yield f"| `{name}` | {_shown(field.default)} | {field.description} |"


def _shown(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, timedelta):
        return f"`{default.total_seconds():g}`"
    return f"`{default}`"


if __name__ == "__main__":
    for table in (settings, kafka_options, mqtt_options, store_options, metrics, reasons):
        print(f"\n{table.__name__}\n", *table(), sep="\n")  # noqa: T201 -- for a person
