"""choreo on MQTT 5: QoS 1, acknowledged after the handler has run, strictly in order."""

from choreo_mqtt.broker import MqttBroker
from choreo_mqtt.settings import MqttSettings

__all__ = ["MqttBroker", "MqttSettings"]
