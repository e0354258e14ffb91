"""Who caused what: the events of one conversation as a tree."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from choreo.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Reaction:
    """What one handler made of an event."""

    service: str
    handler: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Trail:
    """One event, what was made of it, and what it led to."""

    id: str
    type: str
    source: str
    correlation_id: str
    causation_id: str | None
    reactions: Sequence[Reaction]
    effects: "Sequence[Trail]"

    def __iter__(self) -> "Iterator[Trail]":
        """Walk all events, causes before effects."""
        yield self
        for effect in self.effects:
            yield from effect

    def __str__(self) -> str:
        """Draw the tree."""
        return "\n".join(_draw(self, "", ""))


def trails(envelopes: Iterable[Envelope], reactions: Iterable[tuple[str, Reaction]]) -> list[Trail]:
    """Build the trees of *envelopes*, one for each whose cause is not among them.

    *reactions* come with the id of their event. Copies of one event are one.
    """
    events = {envelope.id: envelope for envelope in envelopes}
    made: dict[str, list[Reaction]] = {}
    for identity, reaction in reactions:
        made.setdefault(identity, []).append(reaction)
    effects: dict[str | None, list[Envelope]] = {}
    for envelope in events.values():
        cause = envelope.causation_id if envelope.causation_id in events else None
        effects.setdefault(cause, []).append(envelope)

    def grow(envelope: Envelope) -> Trail:
        return Trail(
            envelope.id,
            envelope.type,
            envelope.source,
            envelope.conversation,
            envelope.causation_id,
            tuple(made.get(envelope.id, ())),
            tuple(grow(effect) for effect in effects.get(envelope.id, ())),
        )

    return [grow(root) for root in effects.get(None, ())]


def _draw(event: Trail, first: str, rest: str) -> Iterator[str]:
    yield f"{first}{event.type} {event.id} from {event.source.removeprefix('urn:choreo:')}"
    stem = rest + ("│  " if event.effects else "   ")
    for reaction in event.reactions:
        yield f"{stem}{reaction.service}.{reaction.handler}: {reaction.outcome}"
    for effect in event.effects:
        last = effect is event.effects[-1]
        yield from _draw(
            effect, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
        )
