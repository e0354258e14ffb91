"""Apache Kafka in KRaft mode on loopback: one node, or as many as a fault needs."""

import tempfile
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from tests.local.kafka_admin import KafkaAdmin
from tests.local.kafka_jars import kafka_jars
from tests.local.kafka_node import KafkaNode, NodePlan, NodePorts
from tests.local.kafka_security import SECURED_LISTENERS, KafkaSecurity
from tests.local.process import LOOPBACK, free_ports, wait_until

START_BUDGET = 90.0


class KafkaCluster:
    """Nodes that can be killed, frozen and started again, one by one, keeping their data."""

    def __init__(self, nodes: list[KafkaNode], security: KafkaSecurity | None) -> None:
        self.nodes = nodes
        self.security = security

    @classmethod
    @contextmanager
    def running(
        cls,
        *,
        nodes: int = 1,
        secured: bool = False,
        heap: str = "384m",
        properties: Mapping[str, str] | None = None,
        far: int | None = None,
    ) -> Generator[Self]:
        """Start a fresh cluster that is ready, and take it away with its data afterwards.

        With *far*, the port of a proxy, its node listens as FAR, too, and is advertised there: who
        comes that way can be cut off while others are not.
        """
        jars = kafka_jars()
        with tempfile.TemporaryDirectory(prefix="choreo-kafka-") as scratch:
            folder = Path(scratch)
            security = KafkaSecurity(folder) if secured else None
            others = (*(SECURED_LISTENERS if secured else ()), *(("FAR",) if far else ()))
            ports = _ports(nodes, ("PLAINTEXT", *others))
            voters = (f"{n}@{LOOPBACK}:{each.controller}" for n, each in ports.items())
            plan = NodePlan(
                jars=jars,
                folder=folder,
                voters=",".join(voters),
                replicas=min(3, nodes),
                heap=heap,
                security=security,
                properties=properties or {},
                far=far,
            )
            cluster = cls([KafkaNode(n, each, plan) for n, each in ports.items()], security)
            with ThreadPoolExecutor(nodes) as pool:
                list(pool.map(KafkaNode.format, cluster.nodes))
            try:
                cluster.start()
                yield cluster
            finally:
                for node in cluster.nodes:
                    node.kill()  # the data goes with it, so there is nothing to flush

    @property
    def bootstrap(self) -> str:
        return self.bootstrap_of("PLAINTEXT")

    @property
    def admin(self) -> KafkaAdmin:
        return KafkaAdmin(self.bootstrap)

    def bootstrap_of(self, listener: str) -> str:
        """Return the addresses of SSL, SASL_PLAINTEXT or SASL_SSL on a secured cluster."""
        return ",".join(node.address(listener) for node in self.nodes)

    def start(self, *nodes: KafkaNode) -> None:
        """Start these nodes (all, when none is named) and wait until each sees the others."""
        for node in nodes or self.nodes:
            node.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every running node names every running node as a broker."""
        running = [node for node in self.nodes if node.alive]
        expected = {node.number for node in running}
        for node in running:
            wait_until(
                partial(_sees, KafkaAdmin(node.address()), expected),
                f"Kafka node {node.number} named {sorted(expected)}",
                within=START_BUDGET,
                needs=running,
            )

    def leader(self, topic: str, partition: int = 0) -> KafkaNode:
        return self.nodes[self.admin.leaders(topic)[partition] - 1]

    def controller(self) -> KafkaNode:
        """Return the node that leads the quorum of controllers."""
        return self.nodes[self.admin.controller() - 1]

    def coordinator(self, group: str) -> KafkaNode:
        """Return the node that keeps the places of *group*."""
        return self.nodes[self.admin.coordinator(group) - 1]

    def wait_in_sync(self, topic: str) -> None:
        """Wait until every replica of the topic has caught up."""
        admin = self.admin
        wait_until(
            lambda: admin.in_sync(topic), f"replicas of {topic} in sync", within=START_BUDGET
        )


def _sees(view: KafkaAdmin, expected: set[int]) -> bool:
    return expected <= view.brokers()


def _ports(nodes: int, listeners: tuple[str, ...]) -> Mapping[int, NodePorts]:
    free = iter(free_ports(nodes * (1 + len(listeners))))
    return {
        number: NodePorts(next(free), {name: next(free) for name in listeners})
        for number in range(1, nodes + 1)
    }
