"""A service whose broker is at the end of a bad line: F10."""

import asyncio
from collections.abc import Callable

import pytest

from choreo.testing.faults import Custom, Cut, Fault, Proxy, Slow, struck
from choreo.testing.faults.proxy import Direction
from tests.conftest import StartKafka
from tests.faults.talk import talking
from tests.local import MqttPart
from tests.local.process import free_ports

LASTS = 1.0
KAFKA = "session_timeout=6&stall_timeout=5&publish_timeout=10&partitions=2"
MQTT = "publish_timeout=5&reconnect_delay=0.05&reconnect_delay_max=0.3"


def torn(proxy: Proxy, direction: Direction) -> Custom:
    """Have connections end in the middle of what is said next."""
    before = proxy.cuts

    async def begin() -> None:
        proxy.cut_after(150, direction)

    async def end() -> str:
        proxy.heal()
        return f"{proxy.cuts - before} connections torn" if proxy.cuts > before else ""

    return Custom(name=f"torn ({direction})", beginning=begin, ending=end)


async def endured(url: str, name: str, proxy: Proxy) -> list[str]:
    """Talk over a line that is slow, throttled, torn and cut; give what proves that it was."""
    faults: list[Callable[[], Fault]] = [
        lambda: Slow(proxy, delay=0.2),
        lambda: Slow(proxy, rate=5_000.0),
        lambda: torn(proxy, "up"),
        lambda: torn(proxy, "down"),
        lambda: Cut(proxy),
    ]
    proofs: list[str] = []
    async with talking(url, name) as talk:
        for fault in faults:
            proofs.append(await struck(fault(), LASTS))
            await talk.goes_on()

    assert talk.order == sorted(talk.order)
    return proofs


@pytest.mark.timeout(120)
async def test_a_bad_line_to_mosquitto_loses_nothing_and_overtakes_nothing_f10(
    mosquitto: MqttPart, fresh_name: Callable[[str], str]
) -> None:
    async with Proxy.running("127.0.0.1", mosquitto.port) as proxy:
        proofs = await endured(f"mqtt://127.0.0.1:{proxy.port}?{MQTT}", fresh_name("said"), proxy)

    assert len(proofs) == 5


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_bad_line_to_kafka_loses_nothing_and_overtakes_nothing_f10(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    (front,) = free_ports(1)
    async with Proxy.running("127.0.0.1", 1, listen=front) as proxy:
        advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{front}"}
        cluster = await asyncio.to_thread(kafka_cluster, properties=advertised)
        proxy.target = ("127.0.0.1", cluster.nodes[0].ports.clients["PLAINTEXT"])

        proofs = await endured(f"kafka://127.0.0.1:{front}?{KAFKA}", fresh_name("said"), proxy)

    assert len(proofs) == 5
