"""A process with a relay whose broker is a file: a line for every message, in one order for all.

Usage: python -m tests.outbox.relaying URL FILE NAME LEASE
A line says who published, which id, and its number or a dash. A call is one write, which the system
takes whole; the receipt comes a moment later.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta

from choreo.delivery.relay import Relay, RelaySettings
from choreo.environment import Environment
from choreo.message import Message
from choreo.store.opening import open_store

RECEIPT = 0.002
"""Seconds from a write to its receipt."""


async def main(url: str, file: str, name: str, lease: str) -> None:
    """Relay until told to end."""
    record = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def stamp(message: Message, number: int, _epoch: int) -> Message:
        headers = [*message.headers, ("number", b"%d" % number)]
        return Message(message.topic, message.body, message.key, headers)

    async def publish(messages: Sequence[Message]) -> None:
        told = [dict(message.headers) for message in messages]
        lines = [
            b"%s %s %s\n" % (name.encode(), one["ce_id"] or b"", one.get("number") or b"-")
            for one in told
        ]
        os.write(record, b"".join(lines))
        await asyncio.sleep(RECEIPT)

    async with open_store(url) as store:
        ledger = await store.ledger("shop", ["charge"])
        settings = RelaySettings(
            lease=timedelta(seconds=float(lease)), poll=timedelta(seconds=0.05)
        )
        relay = Relay(ledger.outbox, publish, Environment(), settings, stamp=stamp)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, relay.stop)
        running = asyncio.create_task(relay.run())
        while not relay.state.shards:
            await asyncio.sleep(0.01)
        print("up", flush=True)  # noqa: T201 -- as below
        await running
        print(relay.state)  # noqa: T201 -- read by whoever looks into the log


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
