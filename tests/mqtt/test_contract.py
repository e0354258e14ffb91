"""What every adapter must keep, kept on a real Mosquitto that is killed, restarted and cut off."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from choreo.broker import Broker
from choreo.testing.contract import BrokerContract, BrokerSetup
from choreo_mqtt import MqttBroker
from tests.local import Mosquitto, MosquittoOptions
from tests.local.process import LOOPBACK, free_ports
from tests.mqtt.faults import kill_client

OPTIONS = "?publish_timeout=2&connect_timeout=3&reconnect_delay=0.05&reconnect_delay_max=0.2"


@pytest.mark.timeout(60)
class TestMosquitto(BrokerContract):
    @pytest.fixture
    def setup(self, mqtt_broker: Callable[[MosquittoOptions], Mosquitto]) -> BrokerSetup:
        server = mqtt_broker(MosquittoOptions())

        def open_client() -> Broker:
            return MqttBroker(server.url + OPTIONS)

        async def crash(broker: Broker) -> None:
            assert isinstance(broker, MqttBroker)
            kill_client(broker)

        @asynccontextmanager
        async def outage() -> AsyncGenerator[None]:
            await asyncio.to_thread(server.terminate)
            try:
                yield
            finally:
                await asyncio.to_thread(server.start)

        async def restart() -> None:
            await asyncio.to_thread(server.terminate)
            await asyncio.to_thread(server.start)

        nobody = free_ports(1)[0]
        return BrokerSetup(
            open=open_client,
            crash=crash,
            outage=outage,
            restart=restart,
            unreachable=lambda: MqttBroker(f"mqtt://{LOOPBACK}:{nobody}"),
            exact=False,
            drain=timedelta(seconds=1),
        )
