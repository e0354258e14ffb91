"""Everything about a Kafka connection that a user may set, in one place, read from its URL."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from choreo.duration import Duration
from choreo.errors import ConfigurationError
from choreo.written import options, problems

SCHEMES = {"kafka": False, "kafka+ssl": True}
DEFAULT_PORT = 9092
NO_OPTIONS = {"servers", "tls", "username", "password"}
TOPIC = re.compile(r"[A-Za-z0-9._\-]{1,249}")
REVOKE_MARGIN = timedelta(seconds=5)
"""Time for the last commit of a revoked partition, after its work was drained (K7)."""
REQUEST_MARGIN = timedelta(seconds=10)
"""What a request may take beyond the rebalance that a JoinGroup waits for on the broker (K7)."""

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


class KafkaSettings(BaseModel):
    """Where a Kafka cluster is and how it is talked to.

    Times in a URL are seconds. Client timeouts that depend on each other are derived from
    ``session_timeout`` and a subscription's drain budget, and refused where they do not fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    servers: tuple[str, ...] = Field(
        min_length=1, description="Addresses to begin with, as host:port; the cluster names more."
    )
    tls: bool = Field(default=False, description="Speak TLS; set by the scheme kafka+ssl.")
    username: str | None = Field(default=None, repr=False, description="User name, if any.")
    password: SecretStr | None = Field(default=None, description="Password, if any.")
    sasl: Mechanism | None = Field(
        default=None,
        description="How to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or OAUTHBEARER with a "
        "token provider given in code. PLAIN when the URL carries a user and none is named.",
    )
    cafile: Path | None = Field(
        default=None, description="Certificates to trust instead of the system's, in PEM."
    )
    certfile: Path | None = Field(default=None, description="Our own certificate, in PEM.")
    keyfile: Path | None = Field(
        default=None, description="Key of our certificate, if it is not in certfile."
    )
    client_id: str = Field(
        default="choreo", min_length=1, description="What the broker's logs and quotas call us."
    )
    group_instance_id: str | None = Field(
        default=None,
        min_length=1,
        description="Static membership: a stable name of this process within the group. Off by "
        "default, because the client does not notice a second process of the same name.",
    )
    session_timeout: Duration = Field(
        default=timedelta(seconds=45),
        ge=timedelta(seconds=3),
        description="How long the group waits for a member that went silent; a broker allows 6 to "
        "1800 seconds unless it was told otherwise.",
    )
    rebalance_timeout: Duration | None = Field(
        default=None,
        description="How long a rebalance waits for members to drain; by default a "
        "subscription's drain budget and 5 seconds.",
    )
    request_timeout: Duration | None = Field(
        default=None,
        description="How long any request may take; by default 40 seconds, and always 10 seconds "
        "more than the rebalance timeout.",
    )
    connect_timeout: Duration = Field(
        default=timedelta(seconds=10), description="Time to reach the cluster and log in."
    )
    publish_timeout: Duration = Field(
        default=timedelta(seconds=30),
        description="After this a message that was not acknowledged is reported as unknown.",
    )
    close_timeout: Duration = Field(
        default=timedelta(seconds=5),
        description="Time for an orderly goodbye before connections are cut.",
    )
    commit_interval: Duration = Field(
        default=timedelta(milliseconds=20),
        description="Shortest time between two commits; what is settled is committed as soon as "
        "this has passed and the commit before it is answered.",
    )
    stall_timeout: Duration = Field(
        default=timedelta(seconds=20),
        description="A client object that makes no progress for this long is replaced.",
    )
    metadata_age: Duration = Field(
        default=timedelta(seconds=60),
        description="How often to ask for new partitions and leaders when nothing calls for it.",
    )
    batch_bytes: int = Field(
        default=256 * 1024, ge=1024, description="Size up to which messages are sent together."
    )
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = Field(
        default=None, description="How batches are compressed; not at all by default."
    )
    max_message_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="Largest body and key together to send. Topics we create take 64 KiB more, so "
        "that a message of this size can still be dead-lettered.",
    )
    fetch_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="How much of one partition to fetch at a time; one batch may be larger.",
    )
    partitions: int = Field(default=8, ge=1, description="Partitions of topics we create.")
    replication: int | None = Field(
        default=None,
        ge=1,
        description="Copies of topics we create; by default 3, or as many as there are brokers.",
    )
    rack: str | None = Field(
        default=None, description="Our rack, to fetch from the closest replica."
    )

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read *url*; raise ConfigurationError, without secrets, for what is not understood."""
        try:
            return cls.model_validate(_fields(url))
        except ValidationError as error:
            raise ConfigurationError(f"broker {redacted(url)}: {problems(error)}") from None

    @property
    def url(self) -> str:
        """The address without credentials and options."""
        return f"kafka{'+ssl' * self.tls}://{','.join(self.servers)}"

    def rebalance(self, drain: timedelta) -> timedelta:
        """Rebalance timeout for that drain budget; raise ConfigurationError if it cannot fit."""
        needed = drain + REVOKE_MARGIN
        chosen = self.rebalance_timeout or needed
        if chosen < needed:
            raise ConfigurationError(
                f"{self.url}: rebalance_timeout={chosen.total_seconds():g} leaves less than "
                f"{REVOKE_MARGIN.total_seconds():g} s to commit after a drain of "
                f"{drain.total_seconds():g} s: lower the subscription's drain"
            )
        return chosen

    def request(self, rebalance: timedelta) -> timedelta:
        """Request timeout that outlasts a join; raise ConfigurationError if it cannot."""
        needed = rebalance + REQUEST_MARGIN
        chosen = self.request_timeout or max(timedelta(seconds=40), needed)
        if chosen < needed:
            raise ConfigurationError(
                f"{self.url}: request_timeout={chosen.total_seconds():g} must be at least "
                f"{needed.total_seconds():g} s, or every join would time out"
            )
        return chosen

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.password is not None and not self.username:
            raise ValueError("a password needs a user")
        if self.sasl not in {None, "OAUTHBEARER"} and self.username is None:
            raise ValueError(f"sasl={self.sasl} needs user:password in the URL")
        if self.keyfile is not None and self.certfile is None:
            raise ValueError("keyfile needs certfile")
        if not self.tls and (self.cafile or self.certfile):
            raise ValueError("certificates need TLS: write kafka+ssl://")
        return self


def topic_problem(name: str) -> str | None:
    """Say why *name* is no topic name; None if it is one."""
    if TOPIC.fullmatch(name) and name not in {".", ".."}:
        return None
    return f"topic {name!r}: use 1 to 249 letters, digits, '.', '_' and '-'"


def redacted(url: str) -> str:
    """Strip everything from *url* that may be secret."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("?")[0].partition("/")[0]
    return f"{scheme}://{authority.rpartition('@')[2]}"


def _fields(url: str) -> Mapping[str, object]:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(f"broker {redacted(url)}: write {' or '.join(SCHEMES)}://")
    if parts.path.strip("/") or parts.fragment:
        raise ConfigurationError(f"broker {redacted(url)}: nothing may follow the addresses but ?")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    known = KafkaSettings.model_fields.keys() - NO_OPTIONS
    values = options(pairs, known, f"broker {redacted(url)}")
    user, _, hosts = parts.netloc.rpartition("@")
    if user:
        username, colon, password = user.partition(":")
        values["username"] = unquote(username)
        if colon:
            values["password"] = unquote(password)
        values.setdefault("sasl", "PLAIN")
    values["servers"] = tuple(_address(url, host) for host in hosts.split(","))
    values["tls"] = SCHEMES[parts.scheme]
    return values


def _address(url: str, host: str) -> str:
    try:
        parsed = urlsplit(f"//{host}")
        port = parsed.port or DEFAULT_PORT
    except ValueError as error:
        raise ConfigurationError(f"broker {redacted(url)}: {host!r} is no host:port") from error
    if not parsed.hostname:
        raise ConfigurationError(f"broker {redacted(url)}: name at least one host")
    name = f"[{parsed.hostname}]" if ":" in parsed.hostname else parsed.hostname
    return f"{name}:{port}"
