"""Everything about an MQTT connection that a user may set, in one place, read from its URL."""

import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from choreo.duration import Duration
from choreo.errors import ConfigurationError
from choreo.written import options, problems

PORTS = {"mqtt": 1883, "mqtts": 8883}
NO_OPTIONS = {"host", "port", "tls", "username", "password"}


class MqttSettings(BaseModel):
    """Where an MQTT 5 broker is and how it is talked to."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(min_length=1, description="Name or address of the broker.")
    port: int = Field(ge=1, le=65535, description="TCP port of the broker.")
    tls: bool = Field(default=False, description="Speak TLS; set by the scheme mqtts.")
    username: str | None = Field(default=None, repr=False, description="User name, if any.")
    password: SecretStr | None = Field(default=None, description="Password, if any.")
    client_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="Client id of the subscription; by default derived from its group, so that it "
        "is the same after a restart. It must be used by one process only.",
    )
    session_expiry: Duration = Field(
        default=timedelta(days=7),
        le=timedelta(seconds=0xFFFFFFFE),
        description="How long the broker keeps the subscription's messages while it is away.",
    )
    receive_maximum: int = Field(
        default=65535,
        ge=1,
        le=65535,
        description="Unacknowledged messages the broker may send ahead; never more than a "
        "subscription's max_span is asked for.",
    )
    keepalive: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=65535),
        description="The broker gives a silent client up after one and a half times this; a ping "
        "is sent after half of it.",
    )
    ping_timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="How long a ping may stay unanswered before the connection is replaced.",
    )
    connect_timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="Time for name lookup, TCP, TLS, the broker's welcome and its word on filters.",
    )
    close_timeout: Duration = Field(
        default=timedelta(seconds=2),
        description="Time for an orderly goodbye before the connection is cut.",
    )
    reconnect_delay: Duration = Field(
        default=timedelta(milliseconds=200),
        description="Pause before the first attempt to connect again; doubles with each failure.",
    )
    reconnect_delay_max: Duration = Field(
        default=timedelta(seconds=15), description="Longest pause between two attempts."
    )
    publish_window: int = Field(
        default=1000,
        ge=1,
        le=65535,
        description="Unacknowledged publishes at a time; the broker's Receive Maximum, if it is "
        "smaller, holds.",
    )
    publish_timeout: Duration = Field(
        default=timedelta(seconds=30),
        description="How long a publish may go without any progress before its fate is unknown.",
    )
    cafile: str | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    certfile: str | None = Field(default=None, description="PEM file of our own certificate.")
    keyfile: str | None = Field(default=None, description="PEM file of its key, if apart.")

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read ``mqtt[s]://[user:password@]host[:port][?option=value&…]``.

        Raises ConfigurationError naming what is wrong, never a value that could be a secret.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise ConfigurationError(
                "the MQTT URL cannot be read: check port and options"
            ) from error
        if parts.scheme not in PORTS:
            raise ConfigurationError(
                f"choreo_mqtt does not serve {parts.scheme!r}: use mqtt or mqtts"
            )
        if parts.path.strip("/") or parts.fragment:
            raise ConfigurationError("an MQTT URL has no path: topics are named by events")
        known = cls.model_fields.keys() - NO_OPTIONS
        values: dict[str, object] = {
            **options(pairs, known, "the MQTT URL"),
            "host": parts.hostname or "",
            "port": PORTS[parts.scheme] if port is None else port,
            "tls": parts.scheme == "mqtts",
        }
        if parts.username is not None:
            values["username"] = unquote(parts.username)
        if parts.password is not None:
            values["password"] = unquote(parts.password)
        return cls._checked(values)

    @property
    def address(self) -> str:
        """The broker's URL without credentials and options."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Build the context that verifies the broker, or None without TLS.

        Raises ConfigurationError for files that cannot be read. There is no way to switch
        verification off.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile is not None:
                context.load_cert_chain(self.certfile, self.keyfile)
        except OSError as error:
            raise ConfigurationError(
                f"cafile, certfile or keyfile of {self.address} cannot be used: {error}"
            ) from error
        return context

    @classmethod
    def _checked(cls, values: Mapping[str, object]) -> Self:
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(f"MQTT settings: {problems(error)}") from None
        given = [name for name in ("cafile", "certfile", "keyfile") if values.get(name) is not None]
        if given and not settings.tls:
            raise ConfigurationError(
                f"{', '.join(given)} need TLS: write mqtts:// instead of mqtt://"
            )
        if settings.keyfile is not None and settings.certfile is None:
            raise ConfigurationError("keyfile needs certfile")
        return settings
