"""Why an event was dead-lettered: a closed set, so that people and programs can act on it."""

from enum import StrEnum


class Reason(StrEnum):
    """Value of ``choreo-dlq-reason``."""

    MALFORMED = "malformed"
    """The attributes around the payload are wrong."""
    UNSUPPORTED_SPECVERSION = "unsupported_specversion"
    """A CloudEvents version other than 1.0."""
    FOREIGN = "foreign"
    """No CloudEvent, and no event declares how to read it."""
    SCHEMA = "schema"
    """The payload does not fit the event, or cannot be decoded at all."""
    UNKNOWN_VERSION = "unknown_version"
    """A version of the event that this service cannot read."""
    REJECTED = "rejected"
    """The handler said that it will never succeed."""
    HANDLER_ERROR = "handler_error"
    """The handler failed in a way that is not tried again."""
    RETRIES_EXHAUSTED = "retries_exhausted"
    """Every attempt failed."""
    TIMEOUT = "timeout"
    """The handler overran its deadline and had to be abandoned."""
    UNDECLARED_EMIT = "undeclared_emit"
    """The handler emitted what it did not declare, or what cannot be written."""
    EXPIRED = "expired"
    """Its time had passed before it was handled."""
    HOP_LIMIT = "hop_limit"
    """Too many events led to it: the choreography runs in a circle."""
    SEQUENCE_GAP_TIMEOUT = "sequence_gap_timeout"
    """Its predecessor did not come in time."""
