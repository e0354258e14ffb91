"""What one process saw of services while it ran tests, in words that another can add to its own."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from choreo.contracts.lock import Emission, ServiceLock

Lines = Mapping[str, set[str]]
"""Places in an event, and the lines that read them."""


class Account(BaseModel):
    """What was seen; several accounts are one by what any of them tells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: dict[str, dict[str, dict[str, set[str]]]] = {}
    """By service, handler and place; a handler that handled nothing is not in it."""
    emitted: dict[str, list[Emission]] = {}
    """What services published outside of their handlers."""
    left_out: int = 0
    """Tests that did not run."""


def merged(accounts: Iterable[Account]) -> Account:
    """Put accounts together."""
    reads: dict[str, dict[str, dict[str, set[str]]]] = {}
    emitted: dict[str, list[Emission]] = {}
    left_out = 0
    for account in accounts:
        for service, handlers in account.reads.items():
            for handler, places in handlers.items():
                known = reads.setdefault(service, {}).setdefault(handler, {})
                for place, lines in places.items():
                    known.setdefault(place, set()).update(lines)
        for service, some in account.emitted.items():
            emitted.setdefault(service, []).extend(some)
        # Each process is given all tests, and leaves the same ones out.
        left_out = max(left_out, account.left_out)
    return Account(reads=reads, emitted=emitted, left_out=left_out)


def with_emitted(lock: ServiceLock, emitted: Iterable[Emission]) -> ServiceLock:
    """Put what a service publishes outside of its handlers beside what they emit."""
    found = {(one.event, one.topic, one.version): one for one in lock.emits}
    for one in emitted:
        found.setdefault((one.event, one.topic, one.version), one)
    every = [found[key] for key in sorted(found)]
    return lock.model_copy(update={"emits": every})
