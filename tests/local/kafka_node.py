"""One KRaft node, broker and controller in one process, with a data folder that outlives it."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.local.kafka_security import KafkaSecurity
from tests.local.process import LOOPBACK, Process, StartError

CLUSTER_ID = "Y2hvcmVvLXRlc3RzLWtmaw"
FORMAT_BUDGET = 60.0

_LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1} %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where one node listens: for its peers, and for clients by listener name."""

    controller: int
    clients: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What a node needs to know of the cluster it joins."""

    jars: Path
    folder: Path
    voters: str
    replicas: int
    heap: str
    security: KafkaSecurity | None = None
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    far: int | None = None
    """Where the listener FAR is advertised, if there is one."""


class KafkaNode(Process):
    """A node by number, counted from 1."""

    def __init__(self, number: int, ports: NodePorts, plan: NodePlan) -> None:
        self.number = number
        self.ports = ports
        self._plan = plan
        self.folder = plan.folder / f"node-{number}"
        self.folder.mkdir()
        self._properties = self.folder / "server.properties"
        self._properties.write_text("".join(f"{k}={v}\n" for k, v in self._settings().items()))
        logging = self.folder / "log4j2.properties"
        logging.write_text(_LOG4J)
        options = [f"-Dlog4j2.configurationFile={logging}", f"-Xmx{plan.heap}"]
        super().__init__(
            self._java("kafka.Kafka", str(self._properties), options=options),
            log=self.folder / "broker.log",
        )

    def address(self, listener: str = "PLAINTEXT") -> str:
        return f"{LOOPBACK}:{self.ports.clients[listener]}"

    def format(self) -> None:
        """Prepare the empty data folder; without it a node refuses to start."""
        security = self._plan.security.format_arguments() if self._plan.security else []
        formatted = subprocess.run(
            self._java(
                *("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID),
                *("-c", str(self._properties), *security),
            ),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=FORMAT_BUDGET,
        )
        if formatted.returncode != 0:
            raise StartError(f"cannot format:\n{formatted.stdout}{formatted.stderr}")

    def _java(self, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        # Tests start brokers often and drive them little: a quick start is worth more than speed.
        tuning = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return ["java", *tuning, *options, "-cp", f"{self._plan.jars}/*", *arguments]

    def _settings(self) -> Mapping[str, str]:
        plan = self._plan
        replicas, quorum = str(plan.replicas), str(min(2, plan.replicas))
        clients = ",".join(f"{name}://{self.address(name)}" for name in self.ports.clients)
        protocols = ",".join(
            f"{name}:{'PLAINTEXT' if name == 'FAR' else name}" for name in self.ports.clients
        )
        advertised = ",".join(
            f"{name}://{LOOPBACK}:{plan.far if name == 'FAR' else port}"
            for name, port in self.ports.clients.items()
        )
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.number),
            "controller.quorum.voters": plan.voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{clients},CONTROLLER://{LOOPBACK}:{self.ports.controller}",
            "advertised.listeners": advertised,
            "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",  # a topic nobody made is a mistake to be seen
            "default.replication.factor": replicas,
            "min.insync.replicas": quorum,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": quorum,
            "transaction.state.log.num.partitions": "8",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": quorum,
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "3000",  # the dead are waited for in many a test
            "broker.session.timeout.ms": "3000",  # a crash goes unnoticed for 3 s instead of 9 s
            "broker.heartbeat.interval.ms": "500",
            **(plan.security.properties() if plan.security else {}),
            **plan.properties,
        }
