"""Run the five services and the shop in one process, and show how every order ended.

python -m examples.order_fulfilment
python -m examples.order_fulfilment --broker kafka://localhost:9092
python -m examples.order_fulfilment --broker mqtt://localhost:1883
python -m examples.order_fulfilment --codec avro
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Literal

from choreo.testing import Harness
from examples.order_fulfilment.display import Display, PlainDisplay
from examples.order_fulfilment.events import OrderShipped
from examples.order_fulfilment.feed import ORDERS, records
from examples.order_fulfilment.outcomes import Outcomes, outcomes
from examples.order_fulfilment.services import inventory, notification, order, payment, shipping

BATCH = 50


async def fulfil(
    broker: str, file: Path, display: Display, *, codec: Literal["json", "avro"] | None = None
) -> tuple[Outcomes, str]:
    """Feed *file* to the services on *broker*; return the outcomes and one order's causal tree.

    Events are written as *codec*, or as the settings say. The harness starts the services in this
    process and tells when everything has come to its end; topics and groups get a prefix of their
    own, so that runs do not meet.
    """
    messages = records(file)
    services = (order, payment, inventory, shipping, notification)
    async with Harness(*services, broker=broker, codec=codec) as world:
        with display.progress(len(messages)) as advance:
            for start in range(0, len(messages), BATCH):
                batch = messages[start : start + BATCH]
                await world.send(*batch)
                await world.settle()
                advance(len(batch))
        shipped = world.published(OrderShipped)
        tree = str(world.trail(str(shipped[0].order_id))) if shipped else ""
        return outcomes(world, len(messages)), tree


def main() -> int:
    """Run, show, and fail if the books do not balance."""
    parser = argparse.ArgumentParser(description="Fulfil the orders of one bad day.")
    parser.add_argument("--broker", default="memory://", help="memory://, kafka://… or mqtt://…")
    parser.add_argument("--codec", choices=["json", "avro"], help="payload format, json by default")
    parser.add_argument("--orders", type=Path, default=ORDERS, help="file of JSON lines")
    parser.add_argument("--plain", action="store_true", help="lines instead of drawings")
    options = parser.parse_args()
    logging.getLogger("choreo").setLevel(logging.CRITICAL)  # the bad day is on purpose
    display = PlainDisplay() if options.plain else _best_display()
    result, tree = asyncio.run(fulfil(options.broker, options.orders, display, codec=options.codec))
    display.table(result)
    print("\nWho caused what for one order:\n")
    print(tree)
    for problem in result.problems:
        print(f"NOT CONSERVED: {problem}", file=sys.stderr)
    return 1 if result.problems else 0


def _best_display() -> Display:
    """Pick Rich where it is installed."""
    try:
        from examples.order_fulfilment.rich_display import RichDisplay  # noqa: PLC0415 -- optional
    except ImportError:
        return PlainDisplay()
    return RichDisplay()


if __name__ == "__main__":
    sys.exit(main())
