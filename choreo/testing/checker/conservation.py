"""Nothing lost, nothing doubled, nothing from nowhere, and every letter the event that it was."""

from collections import Counter
from collections.abc import Iterator

from choreo.testing.checker.evidence import Evidence, Letter, Logged, Share
from choreo.testing.checker.violation import Violation


def no_loss(evidence: Evidence) -> Iterator[Violation]:
    """1. What was accepted is in the log, and has an end with everyone who wants it."""
    if not evidence.final:
        return
    if evidence.log_known:
        for identity, fates in evidence.fates.items():
            if "ok" in fates and identity not in evidence.first:
                yield Violation(text=f"id={identity} was accepted, and is in no log", id=identity)
    for record, one in evidence.wanted():
        if not evidence.resolved((one.service, one.handler, record.id)):
            yield Violation(
                text=f"id={record.id} handler={one.name} has no end",
                id=record.id,
                handler=one.handler,
                key=record.key,
                tp=record.tp,
                weight=record.offset,
            )


def no_duplicate_effect(evidence: Evidence) -> Iterator[Violation]:
    """2. An event has its effect once with each handler that keeps its effects in a database."""
    counted = Counter((effect.share, effect.generation) for effect in evidence.effects)
    for (share, _), count in counted.items():
        service, handler, identity = share
        one = evidence.handlers.get((service, handler))
        if count > 1 and (one is None or one.durable):
            yield Violation(
                text=f"id={identity} handler={service}.{handler} x{count}",
                id=identity,
                handler=handler,
                key=evidence.effective[share].key,
                weight=count,
            )


def no_phantom(evidence: Evidence) -> Iterator[Violation]:
    """3. What is in the log or has an effect was published by somebody whose work counts."""
    fates = evidence.fates
    for record in evidence.first.values():
        if record.id not in fates and not _emitted(evidence, record):
            text = f"id={record.id} is in the log, and nobody whose work counts published it"
            yield Violation(text=text, id=record.id, key=record.key, tp=record.tp)
    for share, effect in evidence.effective.items():
        service, handler, identity = share
        name = f"id={identity} handler={service}.{handler}"
        if fates.get(identity) == {"refused"}:
            text = f"{name} has an effect of what was refused"
        elif evidence.log_known and identity not in evidence.first:
            text = f"{name} has an effect, and is in no log"
        elif not evidence.log_known and identity not in fates:
            text = f"{name} has an effect, and nobody published it"
        else:
            continue
        yield Violation(text=text, id=identity, handler=handler, key=effect.key)


def _emitted(evidence: Evidence, record: Logged) -> bool:
    """Say whether some handler's run that counts led to this event."""
    if record.id in evidence.parents:
        return True
    return any(
        one.makes(record.type)
        and (
            (one.service, one.handler, record.cause) in evidence.effective
            or (not one.durable and record.cause in evidence.first)
        )
        for one in evidence.subscribers
    )


def payload_integrity(evidence: Evidence) -> Iterator[Violation]:
    """4. One id has one payload, from its publication to its effect."""
    known: dict[str, str] = {}
    seen = [
        *((entry.id, entry.payload, "as published") for entry in evidence.of("publish_invoke")),
        *((record.id, record.payload, f"in {record.tp}") for record in evidence.log),
        *((one.id, one.payload, f"in an effect of {one.handler}") for one in evidence.effects),
    ]
    for identity, payload, where in seen:
        if payload and known.setdefault(identity, payload) != payload:
            text = f"id={identity} has another payload {where}: {payload}, not {known[identity]}"
            yield Violation(text=text, id=identity)


def letters_conserved(evidence: Evidence) -> Iterator[Violation]:
    """8. Published = handled + dead + skipped, each event one of them, and letters are verbatim."""
    replayed = {(entry.service, entry.handler, entry.id) for entry in evidence.of("replay")}
    for share, letter in evidence.dead.items():
        effect = evidence.effective.get(share)
        if effect is not None and not effect.generation and share not in replayed:
            yield _of(share, "is dead, and has an effect")
        if share in evidence.skipped:
            yield _of(share, "is dead, and was skipped")
        yield from _verbatim(evidence, share, letter)
    for share, entry in evidence.skipped.items():
        if share in evidence.effective and entry.result != "late":
            yield _of(share, "was skipped, and has an effect")
    for share in replayed:
        if evidence.final and share not in evidence.effective:
            yield _of(share, "was replayed, and has no effect")


def _verbatim(evidence: Evidence, share: Share, letter: Letter) -> Iterator[Violation]:
    """Compare a letter with the event that it was."""
    record = evidence.first.get(share[2])
    if record is None:
        if evidence.log_known:
            yield _of(share, "is dead, and is in no log")
    elif letter.payload and record.payload and letter.payload != record.payload:
        yield _of(share, "has a letter that is not the event it was")


def _of(share: Share, text: str) -> Violation:
    service, handler, identity = share
    told = f"id={identity} handler={service}.{handler} {text}"
    return Violation(text=told, id=identity, handler=handler)
