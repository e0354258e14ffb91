"""Every measure, what it needs, and the ratio to its peer that it must reach."""

from collections.abc import Awaitable, Callable, Sequence

from bench import durable, kafka, keys, latency, memory, mqtt, parked, scale, start, tracing
from bench.budget import Measure, Run
from bench.measure import Result


def _alone(run: Callable[[int], Awaitable[Result]]) -> Run:
    return _one(lambda runs, _: run(runs))


def _one(run: Callable[[int, str], Awaitable[Result]]) -> Run:
    async def found(runs: int, address: str) -> Sequence[Result]:
        return (await run(runs, address),)

    return found


async def _keys(runs: int, _: str) -> Sequence[Result]:
    return await keys.keys(runs)


MEASURES = (
    Measure(
        "memory",
        "whole pipeline on memory:// ÷ `model_validate_json` + await",
        0.25,
        _alone(memory.memory),
    ),
    Measure(
        "failing_keys",
        "1 % of keys fail always ÷ none fails",
        0.95,
        _alone(memory.failing_keys),
    ),
    Measure(
        "tracing_off",
        "OpenTelemetry's API without an SDK ÷ no telemetry",
        0.98,
        _alone(tracing.tracing_off),
    ),
    Measure(
        "tracing_unsampled",
        "an SDK that samples no span ÷ no telemetry",
        0.67,
        _alone(tracing.tracing_unsampled),
    ),
    Measure(
        "tracing_sampled",
        "an SDK that exports every span ÷ no telemetry",
        None,
        _alone(tracing.tracing_sampled),
    ),
    Measure("start_help", "`choreo --help`, beside 300 ms", 1.0, _alone(start.start_help)),
    Measure(
        "start_first_event",
        "import to first event in memory, beside an empty program",
        None,
        _alone(start.start_first_event),
    ),
    Measure(
        "parked_key", "one key of 1,000 parked on SQLite ÷ none", 0.95, _alone(parked.parked_key)
    ),
    Measure("keys", "a million keys ÷ a thousand, the cost of an event", 0.833, _keys),
    Measure("keys_bytes", "what an idle key keeps, beside 160 bytes", 1.0, _keys),
    Measure(
        "keys_pause",
        "a look of the collector at all of a million keys, beside 20 ms",
        1.0,
        _keys,
    ),
    Measure(
        "inbox_outbox_sqlite",
        "inbox, effect and outbox in 64 lanes ÷ the same statements, one transaction an event",
        0.7,
        _alone(durable.inbox_outbox_sqlite),
    ),
    Measure(
        "inbox_outbox_postgresql",
        "the same ÷ 64 tasks, 16 connections each",
        0.7,
        _one(durable.inbox_outbox_postgresql),
        "postgresql",
    ),
    Measure(
        "inbox_outbox_sqlite_grouped",
        "several keys' events in one transaction, rows put off ÷ one transaction an event",
        3.0,
        _alone(durable.inbox_outbox_sqlite_grouped),
    ),
    Measure(
        "inbox_outbox_sqlite_grouped_awaited",
        "the same, each handler awaits its row",
        None,
        _alone(durable.inbox_outbox_sqlite_grouped_awaited),
    ),
    Measure(
        "inbox_outbox_postgresql_grouped",
        "several keys' events in one of two transactions, rows put off ÷ one an event",
        3.0,
        _one(durable.inbox_outbox_postgresql_grouped),
        "postgresql",
    ),
    Measure(
        "inbox_outbox_postgresql_grouped_awaited",
        "the same, each handler awaits its row",
        None,
        _one(durable.inbox_outbox_postgresql_grouped_awaited),
        "postgresql",
    ),
    Measure(
        "kafka_consume",
        "whole pipeline ÷ aiokafka `getmany(500)` + `model_validate_json` + await",
        0.7,
        _one(kafka.kafka_consume),
        "kafka",
    ),
    Measure(
        "kafka_consume_vs_confluent",
        "÷ confluent-kafka `consume(500)` + `model_validate_json` + await",
        None,
        _one(kafka.kafka_consume_vs_confluent),
        "kafka",
    ),
    Measure(
        "kafka_consume_publish",
        "one event out per event in ÷ aiokafka `send` + gather",
        1.3,
        _one(kafka.kafka_consume_publish),
        "kafka",
    ),
    Measure(
        "kafka_consume_vs_faststream",
        "÷ FastStream, at most once, logs off",
        12.0,
        _one(kafka.kafka_consume_vs_faststream),
        "kafka",
    ),
    Measure(
        "kafka_consume_vs_faststream_at_least_once",
        "÷ FastStream, `AckPolicy.ACK`",
        300.0,
        _one(kafka.kafka_consume_vs_faststream_at_least_once),
        "kafka",
    ),
    Measure(
        "kafka_consume_publish_vs_faststream",
        "÷ FastStream's `@publisher`",
        15.0,
        _one(kafka.kafka_consume_publish_vs_faststream),
        "kafka",
    ),
    Measure(
        "keyed_5ms",
        "1,000 keys, 5 ms handler ÷ FastStream in order, 8 workers on 8 partitions",
        40.0,
        _one(kafka.keyed_5ms),
        "kafka",
    ),
    Measure(
        "publish_many",
        "500 a call ÷ aiokafka `send` + gather",
        2.5,
        _one(kafka.publish_many),
        "kafka",
    ),
    Measure(
        "publish_many_vs_confluent",
        "500 a call ÷ confluent-kafka `produce` + flush",
        None,
        _one(kafka.publish_many_vs_confluent),
        "kafka",
    ),
    Measure(
        "scale",
        "two processes of a group ÷ one, the cost of an event",
        0.9,
        _one(scale.scale),
        "kafka",
    ),
    *(
        Measure(
            f"latency_{share}_{quantile}",
            f"from publish to handler at {share} % of capacity ÷ aiokafka",
            None,
            latency.latency,
            "kafka",
        )
        for share in latency.SHARES
        for quantile in latency.QUANTILES
    ),
    Measure("latency_stall", "the longest of them, beside 100 ms", 1.0, latency.latency, "kafka"),
    Measure("latency_longest", "the longest of them ÷ aiokafka's", None, latency.latency, "kafka"),
    Measure("mqtt_receive", "÷ paho with add_reader", 3.0, _one(mqtt.mqtt_receive), "mqtt"),
    Measure("mqtt_publish", "÷ paho with add_reader", 3.0, _one(mqtt.mqtt_publish), "mqtt"),
)
NAMES = tuple(measure.name for measure in MEASURES)
