"""Real brokers and a database on the bare machine, and what to do where there are none."""

from tests.local.apicurio import Apicurio
from tests.local.asyncapi_schema import asyncapi_schema
from tests.local.certificates import Authority, Certificate
from tests.local.kafka import KafkaCluster
from tests.local.kafka_admin import KafkaAdmin
from tests.local.kafka_node import KafkaNode
from tests.local.kafka_security import KafkaSecurity
from tests.local.mock_cluster import MockCluster
from tests.local.mosquitto import Mosquitto, MosquittoOptions
from tests.local.parts import KafkaPart, MqttPart, Parts, PostgresPart, RegistryPart
from tests.local.postgres import Postgres
from tests.local.process import (
    AbsentError,
    Process,
    StartError,
    accepts_connections,
    free_ports,
    wait_until,
)

__all__ = [
    "AbsentError",
    "Apicurio",
    "Authority",
    "Certificate",
    "KafkaAdmin",
    "KafkaCluster",
    "KafkaNode",
    "KafkaPart",
    "KafkaSecurity",
    "MockCluster",
    "Mosquitto",
    "MosquittoOptions",
    "MqttPart",
    "Parts",
    "Postgres",
    "PostgresPart",
    "Process",
    "RegistryPart",
    "StartError",
    "accepts_connections",
    "asyncapi_schema",
    "free_ports",
    "wait_until",
]
