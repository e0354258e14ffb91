"""Run measures by name: ``python -m bench [NAME…] [--runs N]``; all of them without a name."""

import argparse
import asyncio
import logging
from collections.abc import Sequence

from bench import kafka, memory, parked
from bench.measure import Result
from tests.local import KafkaCluster

ON_KAFKA = {
    "kafka_consume": kafka.kafka_consume,
    "kafka_consume_publish": kafka.kafka_consume_publish,
}
ALONE = {"memory": memory.memory, "parked_key": parked.parked_key}
NAMES = (*ALONE, *ON_KAFKA)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON line a measure."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--runs", type=int, default=5, help="rounds counted; one more warms up")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"no measure is called {', '.join(sorted(unknown))}")
    names = chosen.names or list(NAMES)
    logging.getLogger("choreo").setLevel(logging.CRITICAL)  # failures are part of a measure
    for name in names:
        if name in ALONE:
            show(asyncio.run(ALONE[name](chosen.runs)))
    wanted = [name for name in names if name in ON_KAFKA]
    if wanted:
        with KafkaCluster.running(nodes=1) as cluster:
            for topic in kafka.TOPICS:
                cluster.admin.create_topic(topic, partitions=8)
            asyncio.run(kafka.fill(cluster.bootstrap))
            for name in wanted:
                show(asyncio.run(ON_KAFKA[name](chosen.runs, cluster.bootstrap)))


def show(result: Result) -> None:
    """Print it."""
    print(result.line(), flush=True)


if __name__ == "__main__":
    main()
