"""Every measure, what it needs, and the ratio to its peer that it must reach."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from bench import kafka, memory, mqtt, parked, start, tracing
from bench.measure import Result

Needs = Literal["nothing", "kafka", "mqtt"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure; *budget* is the ratio below which choreo is too slow, None if none is set."""

    name: str
    what: str
    budget: float | None
    run: Callable[[int, str], Awaitable[Result]]
    """Given rounds, and the address of what it needs."""
    needs: Needs = "nothing"


def _alone(run: Callable[[int], Awaitable[Result]]) -> Callable[[int, str], Awaitable[Result]]:
    return lambda runs, _: run(runs)


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
    Measure("parked_key", "one key parked on SQLite ÷ none", None, _alone(parked.parked_key)),
    Measure(
        "kafka_consume",
        "whole pipeline ÷ aiokafka `getmany(500)` + `model_validate_json` + await",
        0.7,
        kafka.kafka_consume,
        "kafka",
    ),
    Measure(
        "kafka_consume_publish",
        "one event out per event in ÷ aiokafka `send` + gather",
        1.3,
        kafka.kafka_consume_publish,
        "kafka",
    ),
    Measure(
        "kafka_consume_vs_faststream",
        "÷ FastStream, at most once, logs off",
        12.0,
        kafka.kafka_consume_vs_faststream,
        "kafka",
    ),
    Measure(
        "kafka_consume_vs_faststream_at_least_once",
        "÷ FastStream, `AckPolicy.ACK`",
        300.0,
        kafka.kafka_consume_vs_faststream_at_least_once,
        "kafka",
    ),
    Measure(
        "kafka_consume_publish_vs_faststream",
        "÷ FastStream's `@publisher`",
        15.0,
        kafka.kafka_consume_publish_vs_faststream,
        "kafka",
    ),
    Measure(
        "keyed_5ms",
        "1,000 keys, 5 ms handler ÷ FastStream in order, 8 workers on 8 partitions",
        40.0,
        kafka.keyed_5ms,
        "kafka",
    ),
    Measure(
        "publish_many",
        "500 a call ÷ aiokafka `send` + gather",
        2.5,
        kafka.publish_many,
        "kafka",
    ),
    Measure("mqtt_receive", "÷ paho with add_reader", 1.0, mqtt.mqtt_receive, "mqtt"),
    Measure("mqtt_publish", "÷ paho with add_reader", 1.0, mqtt.mqtt_publish, "mqtt"),
)
NAMES = tuple(measure.name for measure in MEASURES)


def missed(measure: Measure, result: Result) -> bool:
    """Say whether choreo is slower than its budget allows."""
    return measure.budget is not None and result.ratio < measure.budget
