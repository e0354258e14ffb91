"""Typed event handlers that choreograph themselves over Kafka, MQTT 5 or memory.

Everything a service's author needs is here; ``choreo.runner`` runs services within a program,
``choreo.testing`` tests them, ``choreo.broker`` is the port that adapters implement.

A name is imported when it is first used, so that a program pays for what it touches; what type
checkers read stands beside this file.
"""

# The names are there once they are asked for.
# pyright: reportUnsupportedDunderAll=false

from importlib import import_module

HOMES = {
    "Context": "choreo.context",
    "BrokerError": "choreo.errors",
    "ChoreoError": "choreo.errors",
    "CodecError": "choreo.errors",
    "ConfigurationError": "choreo.errors",
    "ConnectionLost": "choreo.errors",
    "DecodeError": "choreo.errors",
    "EncodeError": "choreo.errors",
    "HandlerSignal": "choreo.errors",
    "HandlerTimeout": "choreo.errors",
    "LateEmit": "choreo.errors",
    "IdConflict": "choreo.errors",
    "MalformedEnvelope": "choreo.errors",
    "PublishError": "choreo.errors",
    "Reject": "choreo.errors",
    "RetryLater": "choreo.errors",
    "SchemaError": "choreo.errors",
    "IncompatibleSchema": "choreo.errors",
    "NotRegistered": "choreo.errors",
    "RegistryError": "choreo.errors",
    "RegistryUnavailable": "choreo.errors",
    "StoreError": "choreo.errors",
    "Overtaken": "choreo.errors",
    "ClaimedElsewhere": "choreo.errors",
    "OutOfOrder": "choreo.errors",
    "HandlerHalted": "choreo.errors",
    "CrashSuspect": "choreo.errors",
    "UndeclaredEmit": "choreo.errors",
    "UnknownSchema": "choreo.errors",
    "UnknownVersion": "choreo.errors",
    "UnsupportedSpecVersion": "choreo.errors",
    "VersionHeld": "choreo.errors",
    "Event": "choreo.event",
    "BrokerTime": "choreo.foreign",
    "Digest": "choreo.foreign",
    "Field": "choreo.foreign",
    "Foreign": "choreo.foreign",
    "Header": "choreo.foreign",
    "Key": "choreo.foreign",
    "Position": "choreo.foreign",
    "Gaps": "choreo.gaps",
    "Message": "choreo.message",
    "Outbox": "choreo.outbox",
    "Park": "choreo.park",
    "Retry": "choreo.retry",
    "Router": "choreo.router",
    "Service": "choreo.service",
    "Settings": "choreo.settings",
}
"""Where each name is defined."""

__all__ = [
    "BrokerError",
    "BrokerTime",
    "ChoreoError",
    "ClaimedElsewhere",
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
    "IncompatibleSchema",
    "Key",
    "LateEmit",
    "MalformedEnvelope",
    "Message",
    "NotRegistered",
    "OutOfOrder",
    "Outbox",
    "Overtaken",
    "Park",
    "Position",
    "PublishError",
    "RegistryError",
    "RegistryUnavailable",
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
    "VersionHeld",
]


def __getattr__(name: str) -> object:
    """Import *name* from its home, once."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names that are offered, imported or not."""
    return __all__
