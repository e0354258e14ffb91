"""What is done to clients, brokers and the way between them."""

from collections.abc import Callable

from choreo_mqtt import MqttBroker
from tests.local import Mosquitto, MosquittoOptions

Start = Callable[[MosquittoOptions], Mosquitto]
Name = Callable[[str], str]

QUICK = "?publish_timeout=2&connect_timeout=2&reconnect_delay=0.05&reconnect_delay_max=0.3"
WATCHFUL = QUICK + "&keepalive=1&ping_timeout=0.5&close_timeout=0.5"


def kill_client(broker: MqttBroker) -> None:
    """End all connections of *broker* as kill -9 does: no goodbye, nothing more sent, for ever."""
    for consumer in broker._consumers:
        consumer.link.give_up("killed")
    if broker._publisher is not None:
        broker._publisher.link.give_up("killed")
