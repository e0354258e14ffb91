"""The Mosquitto that tests start can be closed, encrypted, limited, killed and started again."""

import socket
import ssl
from collections.abc import Callable

import pytest

from tests.conftest import StartMosquitto
from tests.local import MosquittoOptions, MqttPart
from tests.local.mqtt_client import Login, connected
from tests.local.process import LOOPBACK


def test_what_is_published_is_received(
    mosquitto: MqttPart, fresh_name: Callable[[str], str]
) -> None:
    topic = fresh_name("orders")

    with connected(mosquitto.port, Login(client_id=fresh_name("client"))) as client:
        client.subscribe(topic)
        client.publish(topic, b"1", b"2")

        assert client.wait_for(2) == [b"1", b"2"]


def test_users_and_rules_are_enforced(mqtt_broker: StartMosquitto) -> None:
    broker = mqtt_broker(
        MosquittoOptions(
            users={"alice": "secret"}, rules=["user alice", "topic readwrite orders/#"]
        )
    )
    alice = Login(client_id="alice", user="alice", password="secret")

    with connected(broker.port, Login(client_id="nobody")) as stranger:
        assert stranger.reason == "Not authorized"
    with connected(broker.port, alice) as client:
        assert [str(code) for code in client.publish("orders/1", b"1")] == [
            "No matching subscribers"
        ]
        assert [str(code) for code in client.publish("payments/1", b"1")] == ["Not authorized"]


def test_tls_asks_for_the_authority_and_the_client_certificate(
    mqtt_broker: StartMosquitto,
) -> None:
    broker = mqtt_broker(MosquittoOptions(tls=True, client_certificates=True))
    assert broker.authority is not None
    assert broker.client is not None
    trust = ssl.create_default_context(cafile=str(broker.authority.certificate))

    with (
        socket.create_connection((LOOPBACK, broker.port)) as link,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(link, server_hostname=LOOPBACK)
    trust.load_cert_chain(broker.client.chain, broker.client.key)
    with connected(broker.port, Login(client_id="a", tls=trust)) as client:
        assert client.reason == "Success"


def test_a_smaller_packet_size_is_told_to_the_client(mqtt_broker: StartMosquitto) -> None:
    broker = mqtt_broker(MosquittoOptions(settings={"max_packet_size": "4096"}))

    with connected(broker.port, Login(client_id="a")) as client:
        assert client.limits["MaximumPacketSize"] == 4096


@pytest.mark.parametrize("settings", [{"max_queued_messages": "10", "max_inflight_messages": "1"}])
def test_a_small_queue_drops_what_does_not_fit(
    mqtt_broker: StartMosquitto, settings: dict[str, str | None]
) -> None:
    broker = mqtt_broker(MosquittoOptions(settings=settings))
    with connected(broker.port, Login(client_id="reader")) as reader:
        reader.subscribe("orders")

    with connected(broker.port, Login(client_id="writer")) as writer:
        writer.publish("orders", *(b"%d" % n for n in range(30)))
        writer.publish("end", b"")
    with connected(broker.port, Login(client_id="reader")) as reader:
        reader.subscribe("end")
        reader.publish("end", b"end")

        assert len([each for each in reader.wait_for(2) if each != b"end"]) < 30


def test_without_persistence_a_restart_forgets_the_session(mqtt_broker: StartMosquitto) -> None:
    broker = mqtt_broker(MosquittoOptions(settings={"persistence": "false"}))
    with connected(broker.port, Login(client_id="reader")) as reader:
        reader.subscribe("orders")

    broker.terminate()
    broker.start()

    with connected(broker.port, Login(client_id="reader")) as reader:
        assert not reader.session_present
