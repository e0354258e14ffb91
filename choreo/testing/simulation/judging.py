"""A simulated history as evidence, so that one checker judges simulated and real runs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from choreo.dead_letter import is_dead_letter_topic
from choreo.testing.checker.entries import Entry, Kind
from choreo.testing.checker.evidence import Effect, Evidence, Letter, Logged, Subscriber
from choreo.testing.checker.verdict import check
from choreo.testing.simulation.history import Entry as Happened
from choreo.testing.simulation.history import History

SKIPPED = frozenset(("filtered", "expired", "late"))
CHANNEL = "mqtt"
"""The stream of what has come by way of sessions."""
OF_ORDER = frozenset(("order", "log-order"))
KINDS: Mapping[str, Kind] = {
    "published": "publish_invoke",
    "refused": "publish_refused",
    "unknown": "publish_unknown",
    "received": "deliver",
    "began": "handle_start",
    "failed": "handle_end",
    "committed": "commit",
    "assigned": "assign",
    "revoked": "revoke",
}


def judged(history: History) -> Iterator[str]:
    """Hold a simulated history to the checker's properties: an invariant for ``simulate``.

    Not to the order of a log that changes it itself, as a simulated MQTT broker does, nor where
    numbers tell another order than the log: ``order_by_number`` holds it to that one.
    """
    reordered = any(entry.stream == CHANNEL for entry in history.of("accepted"))
    numbered = {entry.id for entry in history.of("published", "accepted") if entry.number >= 0}
    verdict = check(evidence_of(history))
    for name, violations in verdict.found.items():
        for violation in violations:
            if name not in OF_ORDER or not (reordered or violation.id in numbered):
                yield f"{name} {violation.text}"


def evidence_of(history: History) -> Evidence:
    """Read a simulated history as the evidence of a run that is over."""
    subscribers = [
        Subscriber(
            service=one.service,
            handler=one.handler,
            type=one.type,
            topic=one.topic,
            durable=one.durable,
        )
        for one in history.subscribers
    ]
    topics = {one.type: one.topic for one in history.subscribers}
    places = {entry.id: entry for entry in history.of("accepted")}
    return Evidence(
        subscribers=subscribers,
        entries=[*_entries(history, places), *_dropped(history)],
        effects=list(_effects(history, places)),
        log=[
            Logged(
                topic=topics.get(entry.type, "") if entry.stream == CHANNEL else entry.topic,
                tp=entry.stream,
                offset=entry.position,
                id=entry.id,
                type=entry.type,
                key=entry.key,
                corr=entry.correlation,
                cause=entry.cause,
                payload=entry.payload,
                at=entry.at,
            )
            for entry in history.of("accepted")
            if not is_dead_letter_topic(entry.topic)
        ],
        letters=[
            Letter(service=entry.service, handler=entry.handler, id=entry.id, at=entry.at)
            for entry in history.of("accepted")
            if is_dead_letter_topic(entry.topic)
        ],
    )


def _entries(history: History, places: Mapping[str, Happened]) -> Iterator[Entry]:
    fated = {entry.id for entry in history.of("refused", "unknown")}
    for entry in history:
        place = places.get(entry.id)
        told = _said(entry, place.key if place else entry.key)
        if entry.kind in KINDS:
            yield replace(told, kind=KINDS[entry.kind])
        if entry.kind == "published" and entry.id not in fated:
            yield replace(told, kind="publish_ok")
        elif entry.kind == "ended":
            yield from _ends(entry, told)
        elif entry.kind == "left" and entry.text == "lot":
            yield replace(told, kind="skip", text="parked")
        elif entry.kind == "settled" and not entry.text:
            yield replace(told, kind="ack")
        elif entry.kind == "fault":
            # A host that anything happened to may be a zombie from then on.
            killed = entry.text == "is killed"
            yield replace(told, kind="proc_kill" if killed else "fault_start", text=entry.text)


def _dropped(history: History) -> Iterator[Entry]:
    """Tell of what a broker has said to have dropped, and nobody has handled all the same."""
    ended = {
        (entry.service, entry.handler, entry.id)
        for entry in history.of("effect", "dead", "ended")
        if entry.kind != "ended" or entry.text in ("handled", "dead_lettered")
    }
    # Whoever sent a letter may have died before it said so.
    ended |= {
        (entry.service, entry.handler, entry.id)
        for entry in history.of("accepted")
        if is_dead_letter_topic(entry.topic)
    }
    for entry in history.of("dropped"):
        for one in history.subscribers:
            wanted = (one.service, one.type) == (entry.service, entry.type)
            if wanted and (one.service, one.handler, entry.id) not in ended:
                told = _said(entry, entry.key)
                yield replace(told, kind="skip", handler=one.handler, text=entry.text)


def _ends(entry: Happened, told: Entry) -> Iterator[Entry]:
    if entry.text in SKIPPED:
        yield replace(told, kind="skip", text=entry.text)
    elif entry.text == "duplicate":
        yield replace(told, kind="dedupe_hit")
    elif entry.text == "parked":
        yield replace(told, kind="buffer_in", result="stored")
    yield replace(told, kind="handle_end", result="ok" if entry.text == "handled" else entry.text)


def _said(entry: Happened, key: str) -> Entry:
    proc, _, life = entry.host.partition("#")
    return Entry(
        at=entry.at,
        kind="sample",
        proc=proc,
        incarnation=int(life or 0),
        service=entry.service,
        handler=entry.handler,
        topic=entry.topic,
        id=entry.id,
        key=key,
        tp=entry.stream,
        offset=entry.position,
        result="err" if entry.kind == "failed" else "",
    )


def _effects(history: History, places: Mapping[str, Happened]) -> Iterator[Effect]:
    """Give what the store committed, and of handlers without one what they say themselves."""
    lasting = {(one.service, one.handler) for one in history.subscribers if one.durable}
    for entry in history.of("effect", "ended"):
        if entry.kind == "ended" and (
            entry.text != "handled" or (entry.service, entry.handler) in lasting
        ):
            continue
        place = places.get(entry.id)
        proc, _, life = entry.host.partition("#")
        yield Effect(
            service=entry.service,
            handler=entry.handler,
            id=entry.id,
            key=place.key if place else "",
            at=entry.at,
            proc=proc,
            incarnation=int(life or 0),
            generation=entry.generation,
            emitted=entry.emitted,
        )
