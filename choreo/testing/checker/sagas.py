"""Workflows with an end, and timers that fire once and not too soon."""

from collections import defaultdict
from collections.abc import Iterator

from choreo.testing.checker.entries import Entry
from choreo.testing.checker.evidence import Evidence
from choreo.testing.checker.violation import Violation


def sagas(evidence: Evidence) -> Iterator[Violation]:
    """12. Each saga ends once and does nothing after; each timer fires once, when it is due.

    Steps are told as ``result``: *done*, *undone* or *ended*, with the step's name as ``text``.
    """
    yield from _steps(evidence)
    yield from _timers(evidence)


def _steps(evidence: Evidence) -> Iterator[Violation]:
    instances: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in evidence.of("saga_step"):
        instances[entry.service, entry.id].append(entry)
    for (service, instance), entries in instances.items():
        name = f"id={instance} of {service}"
        ends = [entry for entry in entries if entry.result == "ended"]
        if len(ends) > 1:
            text = f"{name} has {len(ends)} ends: {', '.join(entry.text for entry in ends)}"
            yield Violation(text=text, id=instance)
        if not ends and evidence.final:
            yield Violation(text=f"{name} has no end", id=instance)
        if ends and entries[-1].result != "ended":
            text = f"{name} did {entries[-1].text} after it had ended"
            yield Violation(text=text, id=instance)
        done = [entry.text for entry in entries if entry.result == "done"]
        undone = [entry.text for entry in entries if entry.result == "undone"]
        if undone and undone != done[::-1]:
            text = f"{name} undid {', '.join(undone)} of {', '.join(done)}"
            yield Violation(text=text, id=instance)


def _timers(evidence: Evidence) -> Iterator[Violation]:
    due = {entry.id: entry.value for entry in evidence.of("timer_set")}
    cancelled = {entry.id for entry in evidence.of("timer_cancel") if entry.result != "late"}
    fired: set[str] = set()
    for entry in evidence.of("timer_fire"):
        name = f"timer id={entry.id}"
        early = due.get(entry.id, 0.0) - entry.at
        if entry.id not in due:
            yield Violation(text=f"{name} fired, and nobody set it", id=entry.id)
        elif early > evidence.bounds.patience:
            yield Violation(text=f"{name} fired {early:.3f} s too early", id=entry.id)
        if entry.id in fired:
            yield Violation(text=f"{name} fired twice", id=entry.id)
        if entry.id in cancelled:
            yield Violation(text=f"{name} fired although it was cancelled", id=entry.id)
        fired.add(entry.id)
    if evidence.final:
        for identity in due.keys() - fired - cancelled:
            yield Violation(text=f"timer id={identity} never fired", id=identity)
