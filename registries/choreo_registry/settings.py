"""What the URL of a registry says: where it is, who asks, and which certificates count."""

import ssl
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from choreo.errors import ConfigurationError

OPTIONS = ("cafile", "certfile", "keyfile", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """One registry."""

    url: str
    """Where it is, without what is secret, and without a slash at its end."""
    user: str | None
    password: str
    timeout: timedelta
    """For one try of one call."""
    trust: ssl.SSLContext | None
    """None where nothing is encrypted."""

    def __repr__(self) -> str:
        """Leave out what is secret (T12)."""
        return f"HttpSettings(url={self.url!r})"

    @classmethod
    def read(cls, url: str) -> Self:
        """Take *url* apart; raise ConfigurationError, which never holds it, for a wrong one."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"the URL of the registry cannot be read: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("the URL of the registry: write http://host:8081")
        if parts.fragment:
            raise ConfigurationError("the URL of the registry has a fragment: leave it out")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        where = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
        options = _options(parts.query, where)
        return cls(
            url=where + parts.path.rstrip("/"),
            user=None if parts.username is None else unquote(parts.username),
            password=unquote(parts.password or ""),
            timeout=_timeout(options.get("timeout", "5"), where),
            trust=_trust(parts.scheme, options, where),
        )


def _options(query: str, where: str) -> dict[str, str]:
    given = parse_qsl(query, keep_blank_values=True)
    options = dict(given)
    for name in options:
        if name not in OPTIONS:
            known = ", ".join(OPTIONS)
            raise ConfigurationError(f"{where}: there is no option {name!r}, only {known}")
    if len(options) < len(given):
        raise ConfigurationError(f"{where}: an option is given twice")
    return options


def _timeout(text: str, where: str) -> timedelta:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 60:  # noqa: PLR2004 -- a minute, and not NaN
        raise ConfigurationError(f"{where}: timeout={text!r}: give seconds, at most 60")
    return timedelta(seconds=seconds)


def _trust(scheme: str, options: dict[str, str], where: str) -> ssl.SSLContext | None:
    given = [name for name in OPTIONS[:3] if name in options]
    if scheme == "http":
        if given:
            raise ConfigurationError(f"{where}: {given[0]} is for https:// only")
        return None
    try:
        context = ssl.create_default_context(cafile=options.get("cafile"))
        if "certfile" in options:
            context.load_cert_chain(options["certfile"], options.get("keyfile"))
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(given)
        raise ConfigurationError(f"{where}: {files} cannot be used: {error}") from error
    return context
