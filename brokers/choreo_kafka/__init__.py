"""Kafka, through aiokafka: the adapter for ``kafka://`` and ``kafka+ssl://``."""

from choreo_kafka.broker import KafkaBroker
from choreo_kafka.security import TokenProvider
from choreo_kafka.settings import KafkaSettings

__all__ = ["KafkaBroker", "KafkaSettings", "TokenProvider"]
