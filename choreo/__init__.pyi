from choreo.context import Context
from choreo.errors import (
    BrokerError,
    ChoreoError,
    CodecError,
    ConfigurationError,
    ConnectionLost,
    CrashSuspect,
    DecodeError,
    EncodeError,
    HandlerHalted,
    HandlerSignal,
    HandlerTimeout,
    IdConflict,
    LateEmit,
    MalformedEnvelope,
    OutOfOrder,
    Overtaken,
    PublishError,
    Reject,
    RetryLater,
    SchemaError,
    StoreError,
    UndeclaredEmit,
    UnknownSchema,
    UnknownVersion,
    UnsupportedSpecVersion,
)
from choreo.event import Event
from choreo.foreign import BrokerTime, Digest, Field, Foreign, Header, Key, Position
from choreo.gaps import Gaps
from choreo.message import Message
from choreo.outbox import Outbox
from choreo.park import Park
from choreo.retry import Retry
from choreo.router import Router
from choreo.service import Service
from choreo.settings import Settings

__all__ = [
    "BrokerError",
    "BrokerTime",
    "ChoreoError",
    "CodecError",
    "ConfigurationError",
    "ConnectionLost",
    "Context",
    "CrashSuspect",
    "DecodeError",
    "Digest",
    "EncodeError",
    "Event",
    "Field",
    "Foreign",
    "Gaps",
    "HandlerHalted",
    "HandlerSignal",
    "HandlerTimeout",
    "Header",
    "IdConflict",
    "Key",
    "LateEmit",
    "MalformedEnvelope",
    "Message",
    "OutOfOrder",
    "Outbox",
    "Overtaken",
    "Park",
    "Position",
    "PublishError",
    "Reject",
    "Retry",
    "RetryLater",
    "Router",
    "SchemaError",
    "Service",
    "Settings",
    "StoreError",
    "UndeclaredEmit",
    "UnknownSchema",
    "UnknownVersion",
    "UnsupportedSpecVersion",
]
