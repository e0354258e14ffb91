"""Who caused what: a forest whose every branch is an effect, in one conversation."""

from collections import defaultdict
from collections.abc import Iterator

from choreo.testing.checker.evidence import Effect, Evidence, Logged, Subscriber
from choreo.testing.checker.violation import Violation


def causality(evidence: Evidence) -> Iterator[Violation]:
    """7. Causes are effects, conversations are kept, and each effect has exactly its children."""
    yield from _edges(evidence)
    yield from _cycles(evidence)
    yield from _fans(evidence)
    yield from _repeated(evidence)


def _edges(evidence: Evidence) -> Iterator[Violation]:
    """Look at each emitted event and its cause."""
    for record in evidence.first.values():
        told = evidence.parents.get(record.id, record.cause)
        if record.cause != told:
            yield _of(record, f"id={record.id} was caused by {told}, and says {record.cause!r}")
        if not record.cause:
            continue
        cause = evidence.first.get(record.cause)
        if cause is None:
            yield _of(record, f"id={record.id} names a cause that is in no log: {record.cause}")
            continue
        if record.corr != (cause.corr or cause.id):
            yield _of(record, f"id={record.id} has left the conversation of {cause.id}")
        makers = [one for one in evidence.subscribers if one.makes(record.type)]
        if makers and not any(_through(evidence, one, cause.id) for one in makers):
            yield _of(record, f"id={record.id} was caused by {cause.id}, which has no such effect")


def _through(evidence: Evidence, one: Subscriber, identity: str) -> bool:
    return not one.durable or (one.service, one.handler, identity) in evidence.effective


def _cycles(evidence: Evidence) -> Iterator[Violation]:
    """Follow causes to a root; an id on its own way there is its own cause."""
    rooted: set[str] = set()
    for identity in evidence.first:
        way: dict[str, None] = {}
        at: str = identity
        while at in evidence.first and at not in rooted and at not in way:
            way[at] = None
            at = evidence.first[at].cause
        if at in way:
            record = evidence.first[at]
            yield _of(record, f"id={at} is its own cause, by way of {len(way)} events")
        rooted.update(way)


def _fans(evidence: Evidence) -> Iterator[Violation]:
    """Compare what each effect has led to with what its handler emits."""
    if not evidence.log_known:
        return
    children: dict[tuple[str, str], list[Logged]] = defaultdict(list)
    for record in evidence.first.values():
        if record.cause:
            children[record.cause, record.type].append(record)
    for share, effect in evidence.effective.items():
        yield from _unheard(evidence, effect)
        one = evidence.handlers.get((share[0], share[1]))
        if one is None:
            continue
        name = f"id={effect.id} handler={one.name}"
        rivals = [other for other in evidence.readers[one.topic, one.type] if other is not one]
        for kind in dict.fromkeys(one.emits):
            expected = one.emits.count(kind)
            found = children.get((effect.id, kind), [])
            shared = any(kind in other.emits for other in rivals)
            if len(found) < expected and evidence.final:
                text = f"{name} has led to {len(found)} {kind}, not {expected}"
                yield Violation(text=text, id=effect.id, handler=one.handler, key=effect.key)
            if len(found) > expected and not shared:
                text = f"{name} has led to {len(found)} {kind}, not {expected}"
                yield Violation(text=text, id=effect.id, handler=one.handler, key=effect.key)
        yield from _derived(evidence, one, effect.id)


def _repeated(evidence: Evidence) -> Iterator[Violation]:
    """Compare what an event led to with what it led to when it was handled before."""
    first: dict[tuple[str, str, str], Effect] = {}
    for effect in evidence.effects:
        known = first.setdefault((effect.service, effect.handler, effect.id), effect)
        if known.generation == effect.generation and set(known.emitted) != set(effect.emitted):
            text = f"id={effect.id} handler={effect.handler} led to other events when handled again"
            yield Violation(text=text, id=effect.id, handler=effect.handler, key=effect.key)


def _unheard(evidence: Evidence, effect: Effect) -> Iterator[Violation]:
    """Look for what the effect has emitted."""
    for identity in effect.emitted if evidence.final else ():
        if identity not in evidence.first:
            text = f"id={effect.id} handler={effect.handler} emitted {identity}, which is in no log"
            yield Violation(text=text, id=effect.id, handler=effect.handler, key=effect.key)


def _derived(evidence: Evidence, one: Subscriber, identity: str) -> Iterator[Violation]:
    """Compare the ids of what was emitted with those that are derived."""
    if one.derive is None or not evidence.final:
        return
    for ordinal, kind in enumerate(one.emits):
        wanted = one.derive(identity, ordinal)
        if wanted not in evidence.first:
            text = f"id={identity} handler={one.name}: its {kind} is not {wanted}, as derived"
            yield Violation(text=text, id=identity, handler=one.handler)


def _of(record: Logged, text: str) -> Violation:
    return Violation(text=text, id=record.id, key=record.key, tp=record.tp)
