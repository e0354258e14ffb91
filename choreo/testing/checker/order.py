"""One after the other within a key: effects, runs of handlers, and records in the log."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from choreo.testing.checker.entries import Entry
from choreo.testing.checker.evidence import Effect, Evidence, Lane, Logged
from choreo.testing.checker.violation import Violation


def order_per_key(evidence: Evidence) -> Iterator[Violation]:
    """5. Effects of a handler and key grow; what a number passes over was given up before."""
    lanes: dict[Lane, list[Effect]] = defaultdict(list)
    for effect in evidence.effective.values():
        one = evidence.handlers.get((effect.service, effect.handler))
        if (one is None or one.ordered) and not effect.generation:
            lanes[effect.service, effect.handler, effect.key].append(effect)
    for lane, effects in lanes.items():
        newest = (-1, -1)
        before = ""
        for effect in effects:
            rank = evidence.rank(effect)
            if rank <= newest:
                text = f"id={effect.id} handler={lane[1]} key={lane[2]} after {before}"
                yield Violation(text=text, id=effect.id, handler=lane[1], key=lane[2])
            else:
                newest, before = rank, effect.id
        yield from _passed_over(evidence, lane, effects)


def _passed_over(evidence: Evidence, lane: Lane, effects: list[Effect]) -> Iterator[Violation]:
    """Tell the numbers that were passed over before they were given up."""
    numbered = [effect for effect in effects if effect.seq]
    if not numbered:
        return
    given_up = _given_up(evidence, lane)
    done = {(effect.epoch, effect.seq) for effect in numbered}
    for index, effect in enumerate(numbered):
        before = numbered[index - 1] if index else None
        if before is not None and before.epoch != effect.epoch:
            continue
        first = before.seq + 1 if before else 1
        for seq in range(first, effect.seq):
            if (effect.epoch, seq) in done:
                continue  # told as an inversion
            at = given_up.get(seq)
            late = at is not None and effect.at >= 0 and at > effect.at + evidence.bounds.patience
            if at is None or late:
                text = (
                    f"id={effect.id} handler={lane[1]} key={lane[2]} passes over number {seq}, "
                    f"which {'was not given up' if at is None else 'was given up later'}"
                )
                yield Violation(text=text, id=effect.id, handler=lane[1], key=lane[2])


def _given_up(evidence: Evidence, lane: Lane) -> Mapping[int, float]:
    """Tell when each number of a lane was given up; -1 for a moment that nobody wrote down."""
    cache: dict[Lane, dict[int, float]] = evidence.__dict__.setdefault("given_up", {})
    if not cache:
        for share, letter in evidence.dead.items():
            record = evidence.first.get(share[2])
            if record is not None:
                cache.setdefault((share[0], share[1], record.key), {})[record.seq] = letter.at
        for entry in evidence.of("skip"):
            numbers = cache.setdefault((entry.service, entry.handler, entry.key), {})
            numbers.setdefault(entry.seq, entry.at)
        cache.setdefault(("", "", ""), {})
    return cache.get(lane, {})


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a handler."""

    begin: float
    end: float
    entry: Entry


def one_at_a_time(evidence: Evidence) -> Iterator[Violation]:
    """6. No two processes that live and are not fenced run one handler for one key at once."""
    lanes: dict[Lane, list[Run]] = defaultdict(list)
    fenced = _Fences(evidence)
    for run in _runs(evidence):
        entry = run.entry
        if not fenced.covers(entry.proc, run.begin, run.end):
            lanes[entry.service, entry.handler, entry.key].append(run)
    for lane, runs in lanes.items():
        runs.sort(key=lambda run: (run.begin, run.end))
        last: Run | None = None
        for run in runs:
            if last is not None and run.begin < last.end:
                text = (
                    f"id={run.entry.id} handler={lane[1]} key={lane[2]} began in {run.entry.who} "
                    f"while {last.entry.id} ran in {last.entry.who}"
                )
                yield Violation(text=text, id=run.entry.id, handler=lane[1], key=lane[2])
            if last is None or run.end > last.end:
                last = run


def _runs(evidence: Evidence) -> Iterator[Run]:
    """Pair beginnings with ends; a process that was killed ends what it ran."""
    running: dict[tuple[str, int, str, str, str], Entry] = {}
    for entry in evidence.entries:
        place = (entry.proc, entry.incarnation, entry.service, entry.handler, entry.id)
        if entry.kind == "handle_start":
            running[place] = entry
        elif entry.kind == "handle_end" and place in running:
            begun = running.pop(place)
            yield Run(begun.at, entry.at, begun)
        elif entry.kind == "proc_kill":
            for other in [one for one in running if one[:2] == place[:2]]:
                begun = running.pop(other)
                yield Run(begun.at, entry.at, begun)


class _Fences:
    """When a process may not know that its streams are another's: in a fault, and soon after it."""

    def __init__(self, evidence: Evidence) -> None:
        self._windows: dict[str, list[tuple[float, float]]] = defaultdict(list)
        begun: dict[tuple[str, str], float] = {}
        for entry in evidence.entries:  # by time: a fault may come again
            place = (entry.text, entry.proc)
            if entry.kind == "fault_start":
                begun.setdefault(place, entry.at)  # one without an end lasts from its first time
            elif entry.kind == "fault_end" and place in begun:
                self._windows[entry.proc].append((begun.pop(place), entry.at + entry.value))
        for (_, proc), at in begun.items():
            self._windows[proc].append((at, float("inf")))

    def covers(self, proc: str, begin: float, end: float) -> bool:
        """Say whether any of that time was within a fault of the process, or of everybody."""
        return any(
            start < end and begin < stop
            for name in (proc, "")
            for start, stop in self._windows.get(name, ())
        )


def log_order(evidence: Evidence) -> Iterator[Violation]:
    """10. What was sent or emitted for a key, one after the other, is in the log in that order."""
    acked = {entry.id: entry.at for entry in evidence.of("publish_ok")}
    before: dict[Lane, Entry] = {}
    seen: set[str] = set()
    for entry in evidence.of("publish_invoke"):
        if entry.id in seen or entry.id not in evidence.first or entry.text == "swapped":
            continue  # a generator that disorders on purpose says so
        seen.add(entry.id)
        lane = (entry.proc, entry.topic, entry.key)
        last = before.get(lane)
        before[lane] = entry
        if last is not None and acked.get(last.id, float("inf")) <= entry.at:
            yield from _behind(evidence.first[last.id], evidence.first[entry.id])
    yield from _relayed(evidence)


def _relayed(evidence: Evidence) -> Iterator[Violation]:
    """Tell what left an outbox in another order than that of the effects it was written with."""
    children: dict[tuple[str, str], list[Logged]] = defaultdict(list)
    for record in evidence.first.values():
        children[record.cause, record.type].append(record)
    newest: dict[tuple[str, str, str], Logged] = {}
    for effect in evidence.effective.values():
        one = evidence.handlers.get((effect.service, effect.handler))
        if one is None or not one.durable or not one.ordered or effect.generation:
            continue
        for kind in one.emits:
            lane = (one.name, effect.key, kind)
            for record in children.get((effect.id, kind), ()):
                if lane in newest:
                    yield from _behind(newest[lane], record)
                newest[lane] = record


def _behind(first: Logged, second: Logged) -> Iterator[Violation]:
    if first.tp == second.tp and second.offset < first.offset:
        text = f"id={second.id} key={second.key} is in {second.tp} before {first.id}"
        yield Violation(text=text, id=second.id, key=second.key, tp=second.tp)
