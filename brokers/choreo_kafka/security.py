"""TLS and SASL: what aiokafka is given to log in with, and warnings where it is not enough."""

import ipaddress
import logging
import ssl
from collections.abc import Mapping
from typing import Protocol

from aiokafka.abc import AbstractTokenProvider

from choreo.errors import ConfigurationError
from choreo_kafka.settings import KafkaSettings

logger = logging.getLogger(__name__)


class TokenProvider(Protocol):
    """Where OAUTHBEARER's tokens come from."""

    async def token(self) -> str:
        """Return a token that is valid now; asked at every connection, so keep and renew it."""
        ...


class _Tokens(AbstractTokenProvider):
    """A TokenProvider in the shape aiokafka wants."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    async def token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - an empty body, read as None
        return await self._provider.token()


def login(settings: KafkaSettings, tokens: TokenProvider | None) -> Mapping[str, object]:
    """Build aiokafka's security arguments; raise ConfigurationError for unusable files."""
    given: dict[str, object] = {}
    if settings.tls:
        given["ssl_context"] = _context(settings)
    if settings.sasl is None:
        given["security_protocol"] = "SSL" if settings.tls else "PLAINTEXT"
        return given
    given["security_protocol"] = "SASL_SSL" if settings.tls else "SASL_PLAINTEXT"
    given["sasl_mechanism"] = settings.sasl
    if settings.sasl == "OAUTHBEARER":
        if tokens is None:
            raise ConfigurationError(
                f"{settings.url}: sasl=OAUTHBEARER needs KafkaBroker(url, tokens=…)"
            )
        given["sasl_oauth_token_provider"] = _Tokens(tokens)
    else:
        given["sasl_plain_username"] = settings.username
        password = settings.password
        given["sasl_plain_password"] = "" if password is None else password.get_secret_value()
    return given


def warn_if_readable(settings: KafkaSettings) -> None:
    """Warn loudly when events or a password leave this machine unencrypted (T11)."""
    if settings.tls:
        return
    away = [server for server in settings.servers if not _loopback(server)]
    if away:
        logger.warning(
            "events%s travel unencrypted: use kafka+ssl://",
            " and the password" if settings.sasl == "PLAIN" else "",
            extra={"servers": away, "sasl": settings.sasl},
        )


def _loopback(server: str) -> bool:
    host = server.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.cafile)
        if settings.certfile is not None:
            context.load_cert_chain(settings.certfile, settings.keyfile)
    except (OSError, ssl.SSLError) as error:
        given = (settings.cafile, settings.certfile, settings.keyfile)
        files = [str(file) for file in given if file]
        raise ConfigurationError(
            f"{settings.url}: cannot use {', '.join(files) or 'the system certificates'}: {error}"
        ) from error
    return context
