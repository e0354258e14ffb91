"""Commits that pass nothing by, and attempts that are counted."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from choreo.testing.checker.entries import Entry
from choreo.testing.checker.evidence import Evidence, Share
from choreo.testing.checker.violation import Violation


def commit_safety(evidence: Evidence) -> Iterator[Violation]:
    """9. No commit passes an event without an end, none goes back, and the last is at the end."""
    yield from _passed(evidence)
    newest: dict[tuple[str, str], int] = {}
    for entry in evidence.of("commit"):
        # Whoever commits: what was another's is not its own to undo.
        place = (entry.service, entry.tp)
        if entry.offset < newest.get(place, 0):
            text = f"{entry.who} committed {entry.tp} back to {entry.offset}"
            yield Violation(text=text, tp=entry.tp)
        newest[place] = entry.offset
    if evidence.final and evidence.committed:
        ends: dict[str, int] = {}
        for record in evidence.log:
            ends[record.tp] = max(ends.get(record.tp, 0), record.offset + 1)
        topics = {(one.service, record.tp) for record, one in evidence.wanted()}
        for group, tp in sorted(topics):
            place_now = evidence.committed.get((group, tp), 0)
            if place_now < ends[tp]:
                text = f"{group} stopped at {place_now} of {tp}, whose end is {ends[tp]}"
                yield Violation(text=text, tp=tp)


def _passed(evidence: Evidence) -> Iterator[Violation]:
    """Go along each stream with its commits: what a commit passes must have ended by then."""
    ended = _ended(evidence)
    streams: dict[tuple[str, str], list[tuple[int, float, str, str]]] = defaultdict(list)
    for record in evidence.log:
        for one in evidence.readers.get((record.topic, record.type), ()):
            at = ended.get((one.service, one.handler, record.id), float("inf"))
            streams[one.service, record.tp].append((record.offset, at, record.id, one.handler))
    commits: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in evidence.of("commit"):
        commits[entry.service, entry.tp].append(entry)
    for place, entries in commits.items():
        records = sorted(streams.get(place, ()))
        earliest: dict[int, float] = {}
        for entry in entries:
            earliest[entry.offset] = min(earliest.get(entry.offset, entry.at), entry.at)
        # A commit of more is one of less, too: each record's bound is the soonest behind it.
        bound, bounds = float("inf"), sorted(earliest.items(), reverse=True)
        for offset, at, identity, handler in reversed(records):
            while bounds and bounds[0][0] > offset:
                bound = min(bound, bounds.pop(0)[1])
            if at > bound + evidence.bounds.patience:
                text = f"id={identity} handler={handler} in {place[1]} was passed by a commit"
                yield Violation(text=text, id=identity, handler=handler, tp=place[1], weight=offset)


def _ended(evidence: Evidence) -> Mapping[Share, float]:
    """Tell when each share ended, at the latest; what has no time is taken for early."""
    found: dict[Share, float] = {}
    ends = (
        *((share, letter.at) for share, letter in evidence.dead.items()),
        *((share, effect.at) for share, effect in evidence.effective.items()),
        *((share, entry.at) for share, entry in evidence.skipped.items()),
        *(
            ((entry.service, entry.handler, entry.id), entry.at)
            for entry in evidence.of("buffer_in")
            if entry.result == "stored"
        ),
    )
    for share, at in ends:
        found[share] = min(found.get(share, at), at)
    return found


def attempts(evidence: Evidence) -> Iterator[Violation]:
    """11. No more attempts than allowed, none before its time, none after too many deaths."""
    due: dict[Share, float] = {}
    deaths: dict[Share, int] = defaultdict(int)
    running: dict[tuple[str, int], set[Share]] = defaultdict(set)
    for entry in evidence.entries:
        share, life = (entry.service, entry.handler, entry.id), (entry.proc, entry.incarnation)
        if entry.kind == "handle_start":
            yield from _begun(evidence, entry, due.get(share, 0.0), deaths[share])
            running[life].add(share)
        elif entry.kind == "handle_end":
            running[life].discard(share)
            if entry.result == "err":
                due[share] = entry.at + entry.value
        elif entry.kind == "proc_kill":
            for other in running.pop(life, ()):
                deaths[other] += 1


def _begun(evidence: Evidence, entry: Entry, due: float, deaths: int) -> Iterator[Violation]:
    one = evidence.handlers.get((entry.service, entry.handler))
    name = f"id={entry.id} handler={entry.handler}"
    if one is not None and one.attempts and entry.attempt > one.attempts:
        text = f"{name} began attempt {entry.attempt} of {one.attempts}"
        yield Violation(text=text, id=entry.id, handler=entry.handler)
    if entry.at < due - evidence.bounds.patience and entry.attempt > 1:
        text = f"{name} began attempt {entry.attempt} {due - entry.at:.3f} s before it was due"
        yield Violation(text=text, id=entry.id, handler=entry.handler)
    if one is not None and one.quarantine and deaths >= one.quarantine:
        text = f"{name} began again after {deaths} deaths of its processes"
        yield Violation(text=text, id=entry.id, handler=entry.handler)
