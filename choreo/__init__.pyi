from choreo.context import Context
from choreo.errors import (
    BrokerError,
    ChoreoError,
    CodecError,
    ConfigurationError,
    ConnectionLost,
    DecodeError,
    EncodeError,
    HandlerSignal,
    HandlerTimeout,
    IdConflict,
    LateEmit,
    MalformedEnvelope,
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
from choreo.message import Message
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
    "DecodeError",
    "Digest",
    "EncodeError",
    "Event",
    "Field",
    "Foreign",
    "HandlerSignal",
    "HandlerTimeout",
    "Header",
    "IdConflict",
    "Key",
    "LateEmit",
    "MalformedEnvelope",
    "Message",
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
