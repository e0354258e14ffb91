"""Every name that choreo gives its telemetry, pinned.

Source: OpenTelemetry semantic conventions 1.44.0 (messaging, Kafka, CloudEvents; development status
throughout) and, under ``choreo.``, what they do not name.
"""

from dataclasses import dataclass

SCOPE = "choreo"
"""Instrumentation scope of tracer and meter."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# ── attributes ────────────────────────────────────────────────────────────────────────────────

SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION_NAME = "messaging.destination.name"
DESTINATION_TEMPLATE = "messaging.destination.template"
PARTITION_ID = "messaging.destination.partition.id"
SUBSCRIPTION_NAME = "messaging.destination.subscription.name"
CONSUMER_GROUP = "messaging.consumer.group.name"
MESSAGE_ID = "messaging.message.id"
CONVERSATION_ID = "messaging.message.conversation_id"
BATCH_COUNT = "messaging.batch.message_count"
KAFKA_KEY = "messaging.kafka.message.key"
KAFKA_OFFSET = "messaging.kafka.offset"
KAFKA_TOMBSTONE = "messaging.kafka.message.tombstone"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
CE_ID = "cloudevents.event_id"
CE_SOURCE = "cloudevents.event_source"
CE_SPEC_VERSION = "cloudevents.event_spec_version"
CE_TYPE = "cloudevents.event_type"
CE_SUBJECT = "cloudevents.event_subject"

SERVICE = "choreo.service"
HANDLER = "choreo.handler"
ATTEMPT = "choreo.attempt"
CAUSATION_ID = "choreo.causation_id"
REASON = "choreo.dead_letter.reason"
OUTCOME = "choreo.outcome"
NOTICE = "choreo.notice"
STREAM = "choreo.stream"

# ── operations ────────────────────────────────────────────────────────────────────────────────

CREATE = "create"
SEND = "send"
RECEIVE = "receive"
PROCESS = "process"
SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Operations:
    """What a system calls its operations; the types above are the same everywhere."""

    send: str
    receive: str
    settle: str
    create: str = CREATE
    process: str = PROCESS


OPERATIONS = {
    "kafka": Operations(send="send", receive="poll", settle="commit"),
    # The broker pushes: a message counts as consumed where it is dispatched.
    "mqtt": Operations(send="publish", receive="process", settle="ack"),
}
ELSEWHERE = Operations(send="send", receive="poll", settle="settle")
"""For memory://, and for systems that only a third party's adapter knows."""

# ── metrics: name, unit, description ──────────────────────────────────────────────────────────

DURATION_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One instrument's identity."""

    name: str
    unit: str
    description: str


OPERATION_DURATION = Metric(
    "messaging.client.operation.duration",
    "s",
    "Duration of messaging operation initiated by a producer or consumer client.",
)
PROCESS_DURATION = Metric("messaging.process.duration", "s", "Duration of processing operation.")
SENT = Metric(
    "messaging.client.sent.messages",
    "{message}",
    "Number of messages producer attempted to send to the broker.",
)
CONSUMED = Metric(
    "messaging.client.consumed.messages",
    "{message}",
    "Number of messages that were delivered to the application.",
)

RETRIES = Metric(
    "choreo.delivery.retries", "{attempt}", "Failed attempts that another one follows."
)
DUPLICATES = Metric(
    "choreo.dedupe.hits", "{message}", "Events a handler had finished before and was spared."
)
DEAD_LETTERS = Metric(
    "choreo.deadletter.messages", "{message}", "Events in the dead letters, by reason."
)
SKIPPED = Metric(
    "choreo.delivery.skipped", "{message}", "Events that ended without their handler, by outcome."
)
NOTICES = Metric("choreo.broker.notices", "{notice}", "What the adapter noticed, by kind.")

LAG = Metric("choreo.consumer.lag", "{message}", "Messages of a stream that are not settled yet.")
SPAN = Metric(
    "choreo.watermark.span",
    "{message}",
    "Positions between the oldest unsettled message of a stream and the newest handed over.",
)
OLDEST = Metric(
    "choreo.delivery.oldest.age", "s", "Age of the oldest event taken in and not settled."
)
HELD = Metric("choreo.delivery.held", "{message}", "Events taken in and not settled.")
WAITING = Metric("choreo.delivery.waiting", "{message}", "Events resting until another attempt.")
LANES = Metric("choreo.lanes.busy", "{lane}", "Lanes with work.")
PAUSED = Metric(
    "choreo.handlers.paused", "{handler}", "Handlers that rest because many keys fail alike."
)
OUTBOX = Metric("choreo.outbox.depth", "{message}", "Events in the outbox, of this relay's shards.")
OUTBOX_OLDEST = Metric(
    "choreo.outbox.oldest.age", "s", "Age of the oldest event that is to be published."
)
OUTBOX_REFUSED = Metric(
    "choreo.outbox.quarantined", "{message}", "Events that the broker refused for good."
)
