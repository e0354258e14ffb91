"""A process with a relay whose broker is a file: a line for every message, in one order for all.

Usage: python -m tests.outbox.relaying URL FILE NAME LEASE [BROKER TOPIC]
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

from choreo.broker import Broker, open_broker
from choreo.delivery.relay import Publish, Relay, RelaySettings
from choreo.environment import Environment
from choreo.message import Message
from choreo.store.opening import open_store

RECEIPT = 0.002
"""Seconds from a write to its receipt."""


class Recorder:
    """A broker that is a file, or a file beside a broker, written at its receipt."""

    def __init__(self, file: str, name: str) -> None:
        self._record = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._name = name

    async def publish(self, messages: Sequence[Message]) -> None:
        self.write(messages)
        await asyncio.sleep(RECEIPT)

    def through(self, broker: Broker, topic: str) -> Publish:
        """Publish to *topic* of a real broker, saying who does."""
        who = ("who", self._name.encode())

        async def publish(messages: Sequence[Message]) -> None:
            await broker.publish(
                [Message(topic, one.body, one.key, [*one.headers, who]) for one in messages]
            )
            self.write(messages)

        return publish

    def write(self, messages: Sequence[Message]) -> None:
        told = [dict(message.headers) for message in messages]
        lines = [
            b"%s %s %s\n" % (self._name.encode(), one["ce_id"] or b"", one.get("number") or b"-")
            for one in told
        ]
        os.write(self._record, b"".join(lines))


def stamp(message: Message, number: int, _epoch: int) -> Message:
    headers = [*message.headers, ("number", b"%d" % number)]
    return Message(message.topic, message.body, message.key, headers)


async def main(
    url: str, file: str, name: str, lease: str, broker: str | None = None, topic: str = ""
) -> None:
    """Relay until told to end."""
    recorder = Recorder(file, name)
    if broker is None:
        await relay(url, lease, recorder.publish)
    else:
        async with open_broker(broker) as opened:
            await relay(url, lease, recorder.through(opened, topic))


async def relay(url: str, lease: str, publish: Publish) -> None:
    async with open_store(url) as store:
        ledger = await store.ledger("shop", ["charge"])
        settings = RelaySettings(
            lease=timedelta(seconds=float(lease)), poll=timedelta(seconds=0.05)
        )
        relaying = Relay(ledger.outbox, publish, Environment(), settings, stamp=stamp)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, relaying.stop)
        running = asyncio.create_task(relaying.run())
        while not relaying.state.shards:
            await asyncio.sleep(0.01)
        print("up", flush=True)  # noqa: T201 -- as below
        await running
        print(relaying.state)  # noqa: T201 -- read by whoever looks into the log


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
