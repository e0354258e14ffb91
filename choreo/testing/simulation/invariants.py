"""What must hold in every history: plain functions, each one property, as are those of users.

Names and numbers follow the properties by which exactly-once effects are judged: no loss, no
duplicate effect, no phantom, order per key, causality, conservation of dead letters, and an outbox
that is drained.
"""

from collections import Counter
from collections.abc import Iterator

from choreo.dead_letter import is_dead_letter_topic
from choreo.testing.simulation.history import Entry, History, Invariant, Subscriber, reads
from choreo.testing.simulation.judging import judged

Share = tuple[str, str, str, str]
"""Service, handler, source and id: one handler's share of one event."""
Place = tuple[str, str, int]
"""Stream, key and position of a record in a log."""

ENDED_UNWRITTEN = frozenset(("filtered", "expired", "late"))
"""Ends that a store is not told of."""
ENDED = ENDED_UNWRITTEN | {"handled", "duplicate", "dead_lettered"}


def nothing_broken(history: History) -> Iterator[str]:
    """Tell what has no end, and what ended and should go on."""
    for entry in history.of("broken"):
        yield f"{entry.host} {entry.text}".strip()


def no_loss(history: History) -> Iterator[str]:
    """Tell the records in the log that have no end with a handler that wants them."""
    ended = _ended(history)
    dropped = {(one.service, one.source, one.id) for one in history.of("dropped")}
    unread = {
        (entry.service, entry.id)
        for entry in history.of("accepted")
        if is_dead_letter_topic(entry.topic) and not entry.handler
    }
    told: set[Share] = set()
    for entry, subscriber in _wanted(history):
        share = _share(entry, subscriber)
        if (share[0], share[3]) in unread:
            continue  # quarantined: it has killed processes, and no handler is ever shown it again
        if (share[0], share[2], share[3]) in dropped:
            continue  # the broker has said so, and nobody can handle it
        if share not in ended and share not in told:
            told.add(share)
            yield f"{entry.id} is lost on {subscriber.service}.{subscriber.handler}"


def no_refused_loss(history: History) -> Iterator[str]:
    """Tell what the scenario published, was not refused, and is in no log."""
    accepted = {entry.id for entry in history.of("accepted")}
    given_up = {entry.id for entry in history.of("refused", "unknown")}
    for entry in history.of("published"):
        if entry.id not in accepted and entry.id not in given_up:
            yield f"{entry.id} was accepted and is in no log"


def no_duplicate_effect(history: History) -> Iterator[str]:
    """Tell the events that have their effect twice with a handler whose service has a store."""
    effects = Counter((_of(entry), entry.generation) for entry in history.of("effect"))
    for (share, _), count in effects.items():
        if count > 1:
            yield f"{share[3]} has its effect {count} times on {share[0]}.{share[1]}"


def no_phantom(history: History) -> Iterator[str]:
    """Tell what is in a log, or has an effect, and was emitted by nothing that counted."""
    known = {entry.id for entry in history.of("published")}
    known.update(one for entry in history.of("effect") for one in entry.emitted)
    durable = {(one.service, one.handler) for one in history.subscribers if one.durable}
    for entry in history.of("ended"):
        if (entry.service, entry.handler) not in durable:
            known.update(entry.emitted)
    accepted: set[str] = set()
    for entry in history.of("accepted"):
        if is_dead_letter_topic(entry.topic):
            continue
        accepted.add(entry.id)
        if entry.id not in known:
            yield f"{entry.id} ({entry.type}) is in the log, and nobody who counts published it"
    for entry in history.of("effect"):
        if entry.id not in accepted:
            yield f"{entry.id} has an effect on {entry.service}.{entry.handler}, and is in no log"


def committed_first(history: History) -> Iterator[str]:
    """Tell the events that are in the log before the effect that emitted them was committed."""
    early: set[str] = set()
    emitted: set[str] = set()
    for entry in history.of("accepted", "effect"):
        if entry.kind == "effect":
            for identity in entry.emitted:
                if identity in early and identity not in emitted:
                    yield f"{identity} is in the log before {entry.id}, its cause, has its effect"
            emitted.update(entry.emitted)
        elif not is_dead_letter_topic(entry.topic):
            early.add(entry.id)


def same_again(history: History) -> Iterator[str]:
    """Tell the events that were handled twice and led to other events the second time."""
    first: dict[Share, tuple[str, ...]] = {}
    for entry in history.of("ended"):
        if entry.text == "handled":
            emitted = first.setdefault(_of(entry), entry.emitted)
            if emitted != entry.emitted:
                yield f"{entry.id} led to other events on {entry.service}.{entry.handler} later"


def order_by_number(history: History) -> Iterator[str]:
    """Tell the events that have their effect after one of their key with a higher number."""
    numbers = _numbers(history)
    newest: dict[tuple[str, str, str, str], tuple[int, str]] = {}
    seen: set[Share] = set()
    for entry in _ends_in_order(history):
        place, share = numbers.get((entry.source, entry.id)), _of(entry)
        if place is None or entry.kind == "dead" or share in seen:
            continue
        seen.add(share)
        key, number = place
        lane = (entry.service, entry.handler, entry.source, key)
        before = newest.get(lane)
        if before is not None and before[0] > number:
            yield (
                f"{entry.id}, number {number} of {key!r}, has its effect on "
                f"{entry.service}.{entry.handler} after {before[1]}, number {before[0]}"
            )
        else:
            newest[lane] = (number, entry.id)


def order_per_key(history: History) -> Iterator[str]:
    """Tell the events that ended before others of their key that came into the log before them.

    A copy that a service lost with its session, unseen, was never there for it.
    """
    numbers, first, later = _numbers(history), dict[tuple[str, str], Place](), _after_loss(history)
    for entry in history.of("accepted"):
        if not is_dead_letter_topic(entry.topic):
            first.setdefault((entry.source, entry.id), (entry.stream, entry.key, entry.position))
    newest: dict[tuple[str, str, str, str], tuple[int, str]] = {}
    seen: set[Share] = set()
    for entry in _ends_in_order(history):
        place = first.get((entry.source, entry.id))
        place = later.get((entry.service, entry.source, entry.id), place)
        share = _of(entry)
        if place is None or share in seen or (entry.source, entry.id) in numbers:
            continue
        seen.add(share)
        stream, key, position = place
        lane = (entry.service, entry.handler, stream, key)
        before = newest.get(lane)
        if before is not None and before[0] > position:
            yield (
                f"{entry.id} ends on {entry.service}.{entry.handler} after {before[1]}, "
                f"which came later for key {key!r}"
            )
        else:
            newest[lane] = (position, entry.id)


def letters_conserved(history: History) -> Iterator[str]:
    """Tell what was given up without a letter, and what has both an end there and an effect."""
    letters = {
        (entry.service, entry.handler, entry.id)
        for entry in history.of("accepted")
        if is_dead_letter_topic(entry.topic)
    }
    handled = {_of(entry) for entry in history.of("effect") if not entry.generation}
    for entry in history.of("dead"):
        share = _of(entry)
        if share in handled:
            yield f"{entry.id} is dead on {entry.service}.{entry.handler}, and has an effect"
        if (entry.service, entry.handler, entry.id) not in letters:
            yield f"{entry.id} is dead on {entry.service}.{entry.handler}, and there is no letter"


def outbox_drained(history: History) -> Iterator[str]:
    """Tell what an effect has emitted that is in no log in the end."""
    accepted = {entry.id for entry in history.of("accepted")}
    waiting = {entry.id: entry.text for entry in history.of("left") if entry.text != "lot"}
    for identity, where in waiting.items():
        if where == "outbox":
            yield f"{identity} is left in the outbox"
    for entry in history.of("effect"):
        for identity in entry.emitted:
            if identity not in accepted and identity not in waiting:
                yield f"{identity}, emitted by {entry.service}.{entry.handler}, is in no log"


def causality(history: History) -> Iterator[str]:
    """Tell the emitted events that do not name their cause, or have left its conversation."""
    accepted = {
        entry.id: entry for entry in history.of("accepted") if not is_dead_letter_topic(entry.topic)
    }
    for effect in history.of("effect"):
        cause = accepted.get(effect.id)
        for identity in effect.emitted:
            entry = accepted.get(identity)
            if entry is None or cause is None:
                continue
            if entry.cause != effect.id:
                yield f"{identity} was caused by {effect.id}, and says {entry.cause or 'nothing'}"
            if entry.correlation != (cause.correlation or cause.id):
                yield f"{identity} has left the conversation of {effect.id}"


BUILT_IN: tuple[Invariant, ...] = (
    nothing_broken,
    no_loss,
    no_refused_loss,
    no_duplicate_effect,
    no_phantom,
    committed_first,
    same_again,
    order_per_key,
    order_by_number,
    letters_conserved,
    outbox_drained,
    causality,
    judged,
)


def violations(history: History, invariants: tuple[Invariant, ...]) -> list[str]:
    """List what is wrong with *history*, by the name of the invariant that says so."""
    found: list[str] = []
    for invariant in invariants:
        name = getattr(invariant, "__name__", "invariant")
        try:
            found.extend(f"{name}: {text}" for text in invariant(history) or ())
        except AssertionError as error:
            found.append(f"{name}: {str(error) or 'its assertion failed'}")
    return found


def _numbers(history: History) -> dict[tuple[str, str], tuple[str, int]]:
    """Tell key and number of each event that has one."""
    return {
        (entry.source, entry.id): (entry.key, entry.number)
        for entry in history.of("published", "accepted")
        if entry.number >= 0 and not is_dead_letter_topic(entry.topic)
    }


def _after_loss(history: History) -> dict[tuple[str, str, str], Place]:
    """Tell where the first copy lies that a service could have seen, of what its sessions lost."""
    lost: set[tuple[str, str, str]] = set()
    seen: set[tuple[str, str, str]] = set()
    found: dict[tuple[str, str, str], Place] = {}
    for entry in history.of("accepted", "received", "dropped"):
        share = (entry.service, entry.source, entry.id)
        if entry.kind == "received":
            seen.add(share)
        elif entry.kind == "dropped" and share not in seen:
            lost.add(share)
        elif entry.kind == "accepted" and lost and not is_dead_letter_topic(entry.topic):
            for other in [one for one in lost if one[1:] == share[1:]]:
                found[other] = (entry.stream, entry.key, entry.position)
                lost.remove(other)
    return found


def _wanted(history: History) -> Iterator[tuple[Entry, Subscriber]]:
    for entry in history.of("accepted"):
        for subscriber in history.subscribers:
            if subscriber.type == entry.type and reads(subscriber.topic, entry.topic):
                yield entry, subscriber


def _ended(history: History) -> set[Share]:
    """Tell every share that has its end: by the database's word, or else by the process's."""
    durable = {(one.service, one.handler): one.durable for one in history.subscribers}
    ended: set[Share] = set()
    for entry in history:
        if entry.kind in {"effect", "dead"} or (entry.kind == "left" and entry.text == "lot"):
            ended.add(_of(entry))
        elif entry.kind == "ended":
            lasting = durable.get((entry.service, entry.handler), False)
            if entry.text in (ENDED_UNWRITTEN if lasting else ENDED):
                ended.add(_of(entry))
    return ended


def _ends_in_order(history: History) -> Iterator[Entry]:
    durable = {(one.service, one.handler) for one in history.subscribers if one.durable}
    for entry in history.of("effect", "dead", "ended"):
        lasting = (entry.service, entry.handler) in durable
        if entry.kind != "ended" or (entry.text == "handled" and not lasting):
            yield entry


def _of(entry: Entry) -> Share:
    return (entry.service, entry.handler, entry.source, entry.id)


def _share(entry: Entry, subscriber: Subscriber) -> Share:
    return (subscriber.service, subscriber.handler, entry.source, entry.id)
