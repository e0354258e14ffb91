"""Every error choreo raises, by what the caller can do about it.

ChoreoError
├─ ConfigurationError      wrong before anything ran: fix the program or its settings
│  └─ SchemaError          the store's tables must be made, or migrated, first
├─ BrokerError             the broker, or the way to it
│  ├─ ConnectionLost       try again later; nothing is known to be wrong
│  └─ PublishError         some messages were refused, or their fate is unknown
├─ StoreError              the store, or the way to it; the event is not to blame
├─ RegistryError           the schema registry refused, or answered what cannot be
│  ├─ RegistryUnavailable  it cannot be reached now, or fails; try again later
│  ├─ NotRegistered        it does not know that schema, subject or version
│  └─ IncompatibleSchema   it forbids that schema beside the earlier ones
├─ OutOfOrder              an event's number has no place in its stream
├─ CodecError              bytes and event do not fit
│  ├─ EncodeError          this event cannot be written
│  ├─ DecodeError          these bytes cannot be read
│  │  ├─ MalformedEnvelope     the attributes around the payload are wrong
│  │  ├─ UnsupportedSpecVersion  a CloudEvents version other than 1.0
│  │  └─ UnknownVersion        a known event in a version this service cannot read
├─ VersionHeld             a newer version that this service holds for one that can read it
├─ IdConflict              an event's id is known with another payload
├─ UndeclaredEmit          a handler emitted an event it did not declare
├─ LateEmit                a handler emitted when its attempt had ended
├─ CrashSuspect            processes died each time that they handled the event
├─ HandlerHalted           a handler that must not go on after a failure has failed
├─ HandlerTimeout          a handler ran past its deadline
└─ HandlerSignal           raised by handlers on purpose
   ├─ Reject               this event will never succeed: dead-letter it now
   └─ RetryLater           try again after this delay
"""

from collections.abc import Mapping
from datetime import timedelta


class ChoreoError(Exception):
    """Parent of every error choreo raises."""


class ConfigurationError(ChoreoError):
    """The program or its settings are wrong; raised before the first event where that is known."""


class SchemaError(ConfigurationError):
    """A store's tables are missing, older or newer than this version of choreo works with."""


class BrokerError(ChoreoError):
    """The broker failed, or refused, for a reason that is not the message's."""


class ConnectionLost(BrokerError):
    """The broker cannot be reached now; the same call may succeed later."""


class PublishError(BrokerError):
    """Not every message of one publish call was accepted.

    *refused* maps the index of a message to the broker's reason: it was not stored, and sending the
    same bytes again will be refused again.
    *unknown* holds indices whose fate is not known (a timeout, a lost connection): the message may
    or may not have been stored, so it may only be sent again under the same id.
    Indices in neither were accepted.
    """

    def __init__(
        self,
        message: str,
        *,
        refused: Mapping[int, str] | None = None,
        unknown: Mapping[int, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.refused = dict(refused or {})
        self.unknown = dict(unknown or {})


class StoreError(ChoreoError):
    """The store failed; the event is not to blame and no attempt is counted."""


class Overtaken(StoreError):
    """The event's numbered stream, or its place in the parking lot, went to another process."""


class ClaimedElsewhere(StoreError):
    """Another process is at the event, or took it over: it is looked at again after a while."""


class RegistryError(ChoreoError):
    """The schema registry refused a call, or gave an answer that cannot be."""


class RegistryUnavailable(RegistryError):
    """The schema registry cannot be reached now, or fails; the same call may succeed later."""


class NotRegistered(RegistryError):
    """The schema registry does not know that schema, subject or version."""


class IncompatibleSchema(RegistryError):
    """The schema registry forbids that schema beside the earlier ones of its subject."""


class OutOfOrder(ChoreoError):
    """An event's number has no place in its stream: late, unbelievable, or too many before it."""


class CrashSuspect(ChoreoError):
    """Processes died each time that they handled the event: it was not read once more."""


class HandlerHalted(ChoreoError):
    """A handler with ``on_failure="halt"`` failed for good: its service stops before that event."""


class CodecError(ChoreoError):
    """Bytes and event do not fit together."""


class EncodeError(CodecError):
    """An event cannot be written in the chosen format."""


class DecodeError(CodecError):
    """These bytes cannot be read; the text names locations and codes, never payload values."""


class MalformedEnvelope(DecodeError):
    """The CloudEvents attributes around the payload are incomplete, repeated or invalid."""


class UnsupportedSpecVersion(DecodeError):
    """The envelope says a CloudEvents version other than 1.0."""


class UnknownSchema(DecodeError):
    """No contract that this service has is the one the payload was written by."""


class UnknownVersion(DecodeError):
    """A known event, in a version for which this service has no reader."""


class VersionHeld(ChoreoError):
    """A newer version that this service cannot read, and holds until another can."""


class IdConflict(ChoreoError):
    """An event bears the id of another one that was handled: its producer reuses ids."""


class UndeclaredEmit(ChoreoError):
    """A handler emitted an event that neither its return type nor ``publishes=`` declares."""


class LateEmit(ChoreoError):
    """An event was emitted when the attempt it belongs to had ended: it was not published."""


class HandlerTimeout(ChoreoError):
    """A handler ran past its deadline."""


class HandlerSignal(ChoreoError):
    """Parent of what a handler raises on purpose to say what should happen to its event."""


class Reject(HandlerSignal):
    """The event will never succeed: dead-letter it now, without another attempt."""


class RetryLater(HandlerSignal):
    """Try this event again after *delay*; it counts as an attempt."""

    def __init__(
        self, delay: timedelta, reason: str = "the handler asked for a later attempt"
    ) -> None:
        if not _is_duration(delay):  # a handler's mistake, told where it is made
            raise TypeError(f"RetryLater({delay!r}): give a timedelta")
        super().__init__(reason)
        self.delay = delay


def _is_duration(value: object) -> bool:
    return isinstance(value, timedelta)
