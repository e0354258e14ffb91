"""What a handler may rely on, in words: read off the adapter's capabilities, promising no more."""

from choreo.broker import Capabilities
from choreo.event import EventType
from choreo.settings import Settings


def guarantee(capabilities: Capabilities, event: EventType, settings: Settings) -> str:
    """Say how often an event takes effect, in what order, and what becomes of duplicates."""
    return f"{_times(capabilities)}, {_order(capabilities, event)}; {_duplicates(settings)}"


def order(capabilities: Capabilities, event: EventType, settings: Settings) -> str:
    """Say what is handled one after the other, and across which handlers."""
    scope = "across handlers" if settings.order == "key" else "within the handler"
    return f"{_order(capabilities, event)}, {scope}"


def _times(capabilities: Capabilities) -> str:
    if not capabilities.resumes:
        return "at most once across a restart"
    if capabilities.in_process:
        return "at least once while the process lives"
    if not capabilities.durable:
        return "at least once while the broker lives"
    return "at least once"


def _order(capabilities: Capabilities, event: EventType) -> str:
    if event.key is not None:
        return f"per key {event.key}"
    return "per partition" if capabilities.keys else "per topic"


def _duplicates(settings: Settings) -> str:
    if not settings.duplicates_window:
        return "duplicates are handled again"
    return "duplicates suppressed while the process lives"
