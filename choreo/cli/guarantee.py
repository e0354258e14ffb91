"""What a handler may rely on, in words: read off adapter and store, promising no more."""

from typing import Any

from choreo.broker import Capabilities
from choreo.event import EventType
from choreo.plan import Plan
from choreo.settings import Settings
from choreo.store.port import Store


def guarantee(
    capabilities: Capabilities,
    plan: Plan,
    event: EventType,
    settings: Settings,
    store: Store[Any] | None,
) -> str:
    """Say how often an event takes effect, in what order, and what becomes of duplicates."""
    times = _times(capabilities)
    effect = "" if store is None or not store.durable else _effect(plan)
    return f"{times}{effect}, {_order(capabilities, event)}; {_duplicates(settings, store)}"


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


def _effect(plan: Plan) -> str:
    if plan.transaction is not None:
        return ", its rows and its emits once"
    if plan.options.lease is not None:
        return ", by one process at a time, its emits once"
    return ", its emits once"


def _order(capabilities: Capabilities, event: EventType) -> str:
    if event.key is not None:
        return f"per key {event.key}"
    return "per partition" if capabilities.keys else "per topic"


def _duplicates(settings: Settings, store: Store[Any] | None) -> str:
    if store is not None and store.durable:
        return "duplicates suppressed by the store"
    if not settings.duplicates_window and store is None:
        return "duplicates are handled again"
    return "duplicates suppressed while the process lives"
