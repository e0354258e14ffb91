"""The shop: puts its records on the broker as they are, readable or not.

python -m examples.order_fulfilment.feed --broker kafka://localhost:9092
"""

import argparse
import asyncio
import re
from pathlib import Path

from choreo import Message
from choreo.broker import open_broker

ORDERS = Path(__file__).with_name("orders.jsonl")
TOPIC = "shop"
ORDER_ID = re.compile(rb'"order_id": "([^"]+)"')
BATCH = 100


def records(file: Path = ORDERS) -> list[Message]:
    """Read one message from each line, keyed by its order where there is one to be seen."""
    return [
        Message(TOPIC, line, found[1] if (found := ORDER_ID.search(line)) else None)
        for line in file.read_bytes().splitlines()
    ]


async def feed(url: str, file: Path) -> int:
    """Publish the whole file; return how many records the broker has accepted."""
    messages = records(file)
    async with open_broker(url) as broker:
        for start in range(0, len(messages), BATCH):
            await broker.publish(messages[start : start + BATCH])
    return len(messages)


def main() -> None:
    """Feed services that run elsewhere."""
    parser = argparse.ArgumentParser(description="Send the shop's orders to a broker.")
    parser.add_argument("--broker", required=True, help="kafka://… or mqtt://…")
    parser.add_argument("--orders", type=Path, default=ORDERS, help="file of JSON lines")
    options = parser.parse_args()
    count = asyncio.run(feed(options.broker, options.orders))
    print(f"{count} records sent to {TOPIC}")


if __name__ == "__main__":
    main()
