"""Killing a Kafka client within the test's own process, as its host's power failing would."""

from typing import Any, cast

from choreo.broker import Broker
from choreo_kafka import KafkaBroker


async def sever(broker: Broker) -> None:
    """Cut every connection of *broker* at once and let it make no other: it sends nothing more."""
    assert isinstance(broker, KafkaBroker)
    producer = broker._producer
    assert producer is not None
    raws: list[Any] = [producer._current.raw] if producer._current is not None else []
    for consumer in broker._consumers:
        if consumer._membership is not None:
            raws.append(consumer._membership._raw)
        consumer._plan.closing.set()  # the dead do not come back
    for raw in raws:
        _cut(raw)


def _cut(raw: object) -> None:
    inner = cast("Any", raw)
    client = inner.client if hasattr(inner, "client") else inner._client

    async def no_connection(*_: object, **__: object) -> None:
        return None

    client._get_conn = no_connection
    for connection in list(client._conns.values()):
        connection.close()
    client._conns.clear()
