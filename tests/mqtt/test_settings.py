"""Settings from a URL: what is read, what is refused, and what never shows."""

from datetime import timedelta

import pytest

from choreo.broker import Broker, open_broker
from choreo.errors import ConfigurationError
from choreo_mqtt import MqttBroker, MqttSettings

CANARY = "c4n4ry"


def test_a_plain_url_has_safe_defaults() -> None:
    settings = MqttSettings.from_url("mqtt://broker.example")

    assert (settings.host, settings.port, settings.tls) == ("broker.example", 1883, False)
    assert settings.session_expiry == timedelta(days=7)
    assert settings.client_id is None


def test_options_take_seconds_or_iso_8601() -> None:
    settings = MqttSettings.from_url(
        "mqtts://[::1]?session_expiry=P2D&keepalive=15&publish_timeout=0.5&client_id=a%2Fb"
    )

    assert settings.address == "mqtts://[::1]:8883"
    assert settings.session_expiry == timedelta(days=2)
    assert settings.keepalive == timedelta(seconds=15)
    assert settings.publish_timeout == timedelta(seconds=0.5)
    assert settings.client_id == "a/b"


def test_credentials_are_decoded() -> None:
    settings = MqttSettings.from_url("mqtt://us%40er:p%2Fss%3A@host")

    assert settings.username == "us@er"
    assert settings.password is not None
    assert settings.password.get_secret_value() == "p/ss:"


def test_credentials_show_nowhere() -> None:
    """T12."""
    url = f"mqtt://{CANARY}:{CANARY}@host:1883?client_id=me"
    broker = MqttBroker(url)
    settings = MqttSettings.from_url(url)

    shown = [repr(broker), str(broker), broker.url, repr(settings), str(settings)]

    assert not [text for text in shown if CANARY in text]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"mqtt://{CANARY}:{CANARY}@host?keepalive={CANARY}", "keepalive"),
        (f"mqtt://{CANARY}:{CANARY}@host?nonsense=1", "nonsense"),
        (f"mqtt://{CANARY}:{CANARY}@host?password={CANARY}", "password"),
        (f"mqtt://{CANARY}:{CANARY}@host?keepalive=1&keepalive=2", "twice"),
        (f"mqtt://{CANARY}:{CANARY}@host:notaport", "port"),
        (f"mqtt://{CANARY}:{CANARY}@host?keepalive=0", "keepalive"),
        (f"mqtt://{CANARY}:{CANARY}@host?receive_maximum=70000", "receive_maximum"),
        (f"mqtt://{CANARY}:{CANARY}@host/topic", "no path"),
        (f"mqtt://{CANARY}:{CANARY}@host?cafile=/x", "mqtts"),
        (f"mqtt://{CANARY}:{CANARY}@", "host"),
        (f"mqtt://{CANARY}:{CANARY}@host?keepalive", "options"),
        (f"mqtts://{CANARY}:{CANARY}@host?keyfile=/x", "certfile"),
        (f"mqtts://{CANARY}:{CANARY}@host?cafile=/does/not/exist", "cafile"),
        (f"amqp://{CANARY}:{CANARY}@host", "mqtts"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_it(url: str, says: str) -> None:
    """T12: the error of a validator likes to show its input."""
    with pytest.raises(ConfigurationError, match=says) as refused:
        MqttBroker(url)

    told = [str(refused.value), repr(refused.value.__cause__), repr(refused.value.__context__)]
    assert not [text for text in told if CANARY in text]


def test_there_is_no_way_to_switch_verification_off() -> None:
    """T11."""
    assert not [
        name for name in MqttSettings.model_fields if "insecure" in name or "verify" in name
    ]
    context = MqttSettings.from_url("mqtts://host").tls_context()
    assert context is not None
    assert context.check_hostname


def test_every_option_is_described() -> None:
    assert not [name for name, each in MqttSettings.model_fields.items() if not each.description]


def test_the_adapter_is_found_by_its_schemes() -> None:
    found: list[Broker] = [open_broker("mqtt://host"), open_broker("mqtts://host")]

    assert [broker.url for broker in found] == ["mqtt://host:1883", "mqtts://host:8883"]
    assert all(isinstance(broker, MqttBroker) for broker in found)
