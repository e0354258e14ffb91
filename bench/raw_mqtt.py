"""The peer beneath: paho in the event loop, woken by add_reader, acknowledging by hand."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bench.events import Order, Tally
from bench.measure import Stopwatch, Taken

SESSION_SECONDS = 3600
TOPIC = "bench-orders"


async def subscribe(url: str, name: str) -> None:
    """Have the broker keep what is published for *name*."""
    async with _connected(url, name) as client:
        subscribed = asyncio.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.subscribe(TOPIC, options=SubscribeOptions(qos=1))
        await subscribed.wait()


async def receive(url: str, name: str, count: int) -> Taken:
    """Handle *count* orders, each acknowledged once its handler has returned."""
    tally, watch, done = Tally(count), Stopwatch(), asyncio.Event()
    arrived: asyncio.Queue[MQTTMessage] = asyncio.Queue()

    async def handle(order: Order) -> None:
        if tally.note(order):
            done.set()

    def take(_client: Client, _data: object, message: MQTTMessage) -> None:
        watch.begin()
        arrived.put_nowait(message)

    async with _connected(url, name, take) as client:
        while not done.is_set():
            message = await arrived.get()
            await handle(Order.model_validate_json(message.payload))
            client.ack(message.mid, message.qos)
        return watch.took(count)


async def publish(url: str, events: Sequence[Order]) -> Taken:
    """Publish *events* with a CloudEvent's properties, until the last is acknowledged."""
    left, watch, done = len(events), Stopwatch(), asyncio.Event()

    def acknowledged(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    async with _connected(url, f"bench-{uuid4().hex[:8]}") as client:
        client.on_publish = acknowledged
        watch.begin()
        for number, order in enumerate(events):
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = "application/json"
            properties.UserProperty = [
                ("specversion", "1.0"),
                ("id", f"019abcde-f012-7345-8678-{number:012d}"),
                ("source", "/bench-shop"),
                ("type", "Order.v1"),
                ("partitionkey", order.customer),
            ]
            client.publish(TOPIC, order.model_dump_json(), qos=1, properties=properties)
            if not number % 100:
                await asyncio.sleep(0)
        await done.wait()
        return watch.took(len(events))


@asynccontextmanager
async def _connected(url: str, name: str, on_message: object = None) -> AsyncGenerator[Client]:
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    client = Client(
        CallbackAPIVersion.VERSION2,
        name,
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
    )
    client.on_socket_open = lambda _c, _d, found: loop.add_reader(found, client.loop_read)
    client.on_socket_close = lambda _c, _d, found: loop.remove_reader(found)
    client.on_socket_register_write = lambda _c, _d, found: loop.add_writer(
        found, client.loop_write
    )
    client.on_socket_unregister_write = lambda _c, _d, found: loop.remove_writer(found)
    connected = asyncio.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_message = on_message
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = SESSION_SECONDS
    session.ReceiveMaximum = 65_535
    client.connect(parts.hostname or "", parts.port or 1883, clean_start=False, properties=session)
    found = client.socket()
    assert isinstance(found, socket.socket)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await connected.wait()
    try:
        yield client
    finally:
        client.disconnect()
        await asyncio.sleep(0)
