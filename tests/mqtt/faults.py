"""What is done to clients, brokers and the way between them."""

from choreo_mqtt import MqttBroker


def kill_client(broker: MqttBroker) -> None:
    """End all connections of *broker* as kill -9 does: no goodbye, nothing more sent, for ever."""
    for consumer in broker._consumers:
        consumer.link.give_up("killed")
    if broker._publisher is not None:
        broker._publisher.link.give_up("killed")
