"""What a broker's answer to a batch says about the fate of its messages."""

from enum import Enum

from aiokafka import errors


class Fate(Enum):
    """What is known of a batch that was not acknowledged."""

    REFUSED = "refused"
    """None of it was stored, nor will any of it ever be."""
    SPOILT = "spoilt"
    """None of it was stored, because of at least one of its messages."""
    UNKNOWN = "unknown"


REFUSED = (
    errors.ClusterAuthorizationFailedError,
    errors.InvalidRequiredAcksError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.SecurityDisabled,
    errors.TopicAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
    errors.UnsupportedForMessageFormatError,
    errors.UnsupportedVersionError,
)
SPOILT = (
    errors.CorruptRecordException,
    errors.InvalidMessageError,
    errors.InvalidTimestampError,
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
)


def fate_of(error: BaseException | None, *, records: int) -> Fate:
    """Judge *error*, which answered a batch of that many records; None is no answer at all.

    Codes the client does not know (87, 90 and later ones) arrive as one with UNKNOWN_SERVER_ERROR,
    so that they can only be called unknown (P4).
    """
    if isinstance(error, REFUSED):
        return Fate.REFUSED
    if isinstance(error, SPOILT):
        return Fate.SPOILT if records > 1 else Fate.REFUSED
    return Fate.UNKNOWN
