"""Run measures by name: ``python -m bench [NAME…] [--runs N]``; all of them without a name."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from bench import kafka, measure, report
from bench.budget import Measure, Needs, each_of, missed
from bench.catalogue import MEASURES, NAMES
from bench.flame import Flames
from bench.measure import Result
from tests.local import KafkaCluster, Mosquitto, Postgres


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON line a measure, and a table; exit with 1 if a budget was missed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--runs", type=int, default=5, help="rounds counted; one more warms up")
    parser.add_argument("--flame", action="store_true", help="tell where choreo's time goes, too")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"no measure is called {', '.join(sorted(unknown))}")
    wanted = [each for each in MEASURES if not chosen.names or each.name in chosen.names]
    logging.getLogger("choreo").setLevel(logging.CRITICAL)  # failures are part of a measure
    flames = Flames()
    if chosen.flame:
        measure.watching = flames.lit
    found = list(measured(wanted, chosen.runs))
    report.write(found)
    print(report.table(found), file=sys.stderr)
    if chosen.flame:
        print(flames.text(), file=sys.stderr)
    if chosen.readme:
        report.into_readme(found)
    late = [each.name for each, result in found if missed(each, result)]
    if late:
        sys.exit(f"over budget: {', '.join(late)}")


def measured(wanted: Sequence[Measure], runs: int) -> Generator[tuple[Measure, Result]]:
    """Run the measures, each part that they need started once."""
    needs: Needs
    for needs in ("nothing", "postgresql", "mqtt", "kafka"):
        here = [each for each in wanted if each.needs == needs]
        if not here:
            continue
        with part(needs) as address:
            yield from each_of(here, runs, address)


@contextmanager
def part(needs: Needs) -> Generator[str]:
    """Start what is needed, filled with what is read; its address."""
    match needs:
        case "nothing":
            yield ""
        case "mqtt":
            with Mosquitto.running() as broker:
                yield broker.url
        case "postgresql":
            with Postgres.running() as server:
                yield server.dsn
        case "kafka":
            with KafkaCluster.running(nodes=1) as cluster:
                for topic in kafka.TOPICS:
                    cluster.admin.create_topic(topic, partitions=kafka.PARTITIONS)
                asyncio.run(kafka.fill(cluster.bootstrap))
                yield cluster.bootstrap


if __name__ == "__main__":
    main()
