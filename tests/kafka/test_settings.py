"""What a URL says, and what is refused before anything is connected."""

import logging
from datetime import timedelta

import pytest

from choreo.errors import ConfigurationError
from choreo_kafka import KafkaBroker, KafkaSettings
from choreo_kafka.client import Clients
from choreo_kafka.security import warn_if_readable

SECRET = "s3cr3t-canary"


def test_an_address_may_name_several_brokers_with_and_without_port() -> None:
    settings = KafkaSettings.parse("kafka://one:1,two,[::1]:3")

    assert settings.servers == ("one:1", "two:9092", "[::1]:3")
    assert settings.url == "kafka://one:1,two:9092,[::1]:3"


def test_options_are_read_with_their_types() -> None:
    settings = KafkaSettings.parse(
        "kafka+ssl://u:p%40ss@h?sasl=SCRAM-SHA-512&session_timeout=30&partitions=3&compression=lz4"
    )

    assert settings.tls
    assert settings.password is not None
    assert settings.password.get_secret_value() == "p@ss"
    assert settings.session_timeout == timedelta(seconds=30)
    assert (settings.partitions, settings.compression) == (3, "lz4")


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("kafka://", "host"),
        ("amqp://h", "kafka"),
        ("kafka://h:nine", "host:port"),
        ("kafka://h/topic", "address"),
        ("kafka://h?sesion_timeout=3", "sesion_timeout"),
        ("kafka://h?session_timeout=1", "session_timeout"),
        ("kafka://h?client_id=a&client_id=b", "twice"),
        ("kafka://h?password=x", "password"),
        ("kafka://h?sasl=PLAIN", "user"),
        ("kafka://h?cafile=/x", "kafka+ssl"),
        ("kafka+ssl://h?keyfile=/x", "certfile"),
        ("kafka://h?enable_auto_commit=true", "enable_auto_commit"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(url: str, names: str) -> None:
    """K4: there is no option for committing what was not handled."""
    with pytest.raises(ConfigurationError, match=names.replace("+", r"\+")):
        KafkaBroker(url)


def test_a_password_is_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """T12."""
    caplog.set_level(logging.DEBUG)
    url = f"kafka://user:{SECRET}@example.org?sasl=PLAIN"
    settings = KafkaSettings.parse(url)
    broker = KafkaBroker(url)
    warn_if_readable(settings)
    Clients(settings, None)._common(timedelta(seconds=1))
    with pytest.raises(ConfigurationError) as wrong:
        KafkaBroker(url + "&partitions=none")

    shown = [repr(settings), str(settings), repr(broker), broker.url, str(wrong.value), caplog.text]
    assert not [text for text in shown if SECRET in text]


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("kafka://127.0.0.1,localhost,[::1]", False),
        ("kafka+ssl://example.org", False),
        ("kafka://127.0.0.1,example.org", True),
        ("kafka://10.0.0.1", True),
    ],
)
def test_plaintext_beyond_this_machine_is_warned_of(
    url: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """T11."""
    warn_if_readable(KafkaSettings.parse(url))

    assert bool(caplog.records) is warns


def test_timeouts_are_derived_so_that_a_join_outlasts_a_drain() -> None:
    """K7."""
    settings = KafkaSettings.parse("kafka://h")

    rebalance = settings.rebalance(timedelta(seconds=60))

    assert rebalance == timedelta(seconds=65)
    assert settings.request(rebalance) >= rebalance + timedelta(seconds=5)
    assert settings.request(timedelta(seconds=1)) == timedelta(seconds=40)


def test_timeouts_that_cannot_fit_are_refused() -> None:
    """K7."""
    with pytest.raises(ConfigurationError, match="drain"):
        KafkaSettings.parse("kafka://h?rebalance_timeout=20").rebalance(timedelta(seconds=20))
    with pytest.raises(ConfigurationError, match="request_timeout"):
        KafkaSettings.parse("kafka://h?request_timeout=30").request(timedelta(seconds=25))


def test_every_option_is_described() -> None:
    assert [
        name for name, field in KafkaSettings.model_fields.items() if not field.description
    ] == []
