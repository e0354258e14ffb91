"""Puts numbered events in order: decides what may be handled, held, given up or quarantined.

Theory of operation.  A stream is one source's numbered events for one handler.  Its position is in
the store and moves with each event's end.  *reach* is the number that may be released next: what
was released before it runs in the order of one lane, so that an event's *step*, the move of the
position that is written with its end, is known when it is released.  What comes too soon is held;
the lowest that is held starts the patience with the gap before it.  Patience over, a gap that is
skipped becomes part of the step of the event behind it: it is decided by a compare-and-set in the
store, which two owners cannot both win (R13).

What comes below *reach* is released at once as *past* and has its turn behind what was released
before it.  Only then, and only the inbox, can tell a duplicate from a late event (R6).  A producer
that starts again counts under a higher epoch, which begins once nothing of the epoch before is
held; what comes of that one afterwards is *stale* (R4).

Nothing here knows time or does I/O; numbers are compared, never counted through (R7).
"""

import heapq
from collections.abc import Callable, Iterator
from math import inf
from typing import Generic, TypeVar

from choreo.delivery.numbered import Arrival, Fate, Gap, Move, Overdue, Place, Room, Stream
from choreo.gaps import LARGEST, Gaps
from choreo.store.streams import NOT_BEGUN, Advance, Position, StreamKey

T = TypeVar("T")

REQUESTS = 3
"""How often a source is asked for what is missing before it is given up."""
ENDLESS = ("wait", "park")
"""Policies that give no number up that may come."""


class Sequencer(Generic[T]):
    """The streams of one process. Keeps what it holds within bounds, per stream and in all."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._streams: dict[StreamKey, Stream[T]] = {}
        self._deadlines: list[tuple[float, int, StreamKey]] = []
        self._timers = 0
        self._lives = 0
        self.events = 0
        """Events held, in all streams."""
        self.size = 0
        """Their bytes."""

    def __len__(self) -> int:
        """Count the streams with something held or released."""
        return len(self._streams)

    def knows(self, stream: StreamKey) -> bool:
        """Say whether *stream* is open; otherwise open it before offering."""
        return stream in self._streams

    def open(
        self, stream: StreamKey, gaps: Gaps, position: Position, linger: float | None = None
    ) -> None:
        """Begin with *stream* where it stands; what is held for *linger* seconds is to be laid."""
        self._lives += 1
        self._streams[stream] = Stream(stream, gaps, position, self._lives, linger)

    def life(self, stream: StreamKey) -> int:
        """Tell the number of the life, among all, that *stream* is in."""
        return self._streams[stream].life

    def stands(self, stream: StreamKey) -> Position | None:
        """Tell where an open stream stands in the store once all that was released has ended."""
        state = self._streams.get(stream)
        return None if state is None else state.stand

    def offer(
        self, stream: StreamKey, arrival: Arrival[T], now: float, *, laid: bool = False
    ) -> list[Move[T]]:
        """Decide about one event of an open stream, and about those that waited for it.

        *laid* says that others of the stream wait in the store.
        """
        state = self._streams[stream]
        arrival.at, state.laid = now, laid
        fate = self._judge(state, arrival)
        if fate is Fate.OVERFLOW and state.linger is not None:
            fate, state.linger = Fate.HELD, 0.0
        if fate is Fate.OVERFLOW and state.gaps.policy == "skip":
            self._hold(state, arrival)
            return self._give_up(state)
        if fate is Fate.HELD:
            self._hold(state, arrival)
            moves = self._release(state)
            self._watch(state)
            return moves or [Move(fate, arrival.item)]
        if fate is Fate.READY:
            moves = [self._out(state, arrival, skipped=0), *self._release(state)]
            self._watch(state)
            return moves
        if fate in (Fate.PAST, Fate.STALE):
            state.pending += 1
        self._forget_idle(state)
        return [Move(fate, arrival.item)]

    def turn(self, stream: StreamKey, arrival: Arrival[T], *, give_up: bool) -> list[Move[T]] | Gap:
        """Decide about an event that waits elsewhere, or tell the gap before it unless given up."""
        state = self._streams[stream]
        state.laid = False  # it is the first of those that are
        fate = self._judge(state, arrival)
        if fate not in (Fate.HELD, Fate.OVERFLOW):
            return self.offer(stream, arrival, arrival.at)
        gap = state.gap(arrival.epoch, arrival.number)
        if not give_up:
            self._forget_idle(state)
            return gap
        moves = [self._out(state, arrival, skipped=_size(gap)), *self._release(state)]
        self._watch(state)
        return moves

    def withdraw(self, stream: StreamKey) -> list[T]:
        """Take out, in order, all that is held of a stream; what was released stays known."""
        state = self._streams.get(stream)
        if state is None:
            return []
        held = [arrival.item for arrival in _in_order(state)]
        self._count(state, -state.events, -state.size)
        state.held, state.order, state.timer = {}, [], None
        self._forget_idle(state)
        return held

    def ended(self, stream: StreamKey, life: int) -> Position | None:
        """Hear that one event that was released has ended; its stream is forgotten with its last.

        *life* is the one in which it was released. A stream that is forgotten stands in the store
        where this says.
        """
        state = self._streams.get(stream)
        if state is None or state.life != life:
            return None
        state.pending -= 1
        self._forget_idle(state)
        return None if stream in self._streams else state.stand

    def reset(self, stream: StreamKey) -> list[T]:
        """Forget a stream whose position is no longer what was believed; return what was held."""
        state = self._streams.pop(stream, None)
        if state is None:
            return []
        self._count(state, -state.events, -state.size)
        return [arrival.item for place in sorted(state.held) for arrival in state.held[place]]

    def drop(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out all that is held and *unwanted*, in order within each stream."""
        dropped: list[T] = []
        for state in list(self._streams.values()):
            gone = [arrival for arrival in _in_order(state) if unwanted(arrival.item)]
            if gone:
                kept = [arrival for arrival in _in_order(state) if not unwanted(arrival.item)]
                dropped += [arrival.item for arrival in gone]
                self._count(state, -state.events, -state.size)
                state.held, state.order = {}, []
                for arrival in kept:
                    self._hold(state, arrival)
                self._watch(state)
            self._forget_idle(state)
        return dropped

    def due(self, now: float) -> list[StreamKey]:
        """List the streams whose patience is over: see where they stand, then decide."""
        due: list[StreamKey] = []
        while (deadline := self.next_due) is not None and deadline <= now:
            stream = heapq.heappop(self._deadlines)[2]
            self._streams[stream].timer = None
            due.append(stream)
        return due

    def decide(self, stream: StreamKey, now: float) -> Overdue[T] | None:
        """Decide about a gap whose patience is over; None if there is none any more."""
        state = self._streams.get(stream)
        if state is None or not state.order:
            return None
        if state.timer is not None and state.timer > now:
            return None  # the gap that was due is filled: patience with the next is not over
        return self._decide(state, now)

    def postpone(self, stream: StreamKey, deadline: float) -> None:
        """Have a stream that could not be decided about be due again at *deadline*."""
        state = self._streams.get(stream)
        if state is not None:
            self._set(state, deadline)

    @property
    def next_due(self) -> float | None:
        """Monotonic time at which patience with some gap is over."""
        while self._deadlines:
            moment, _, stream = self._deadlines[0]
            state = self._streams.get(stream)
            if state is not None and state.timer == moment:
                return moment
            heapq.heappop(self._deadlines)
        return None

    # -- deciding ---------------------------------------------------------------------------------

    def _judge(self, state: Stream[T], arrival: Arrival[T]) -> Fate:
        if arrival.number > LARGEST:
            return Fate.JUMP  # none at all: no stream begins with it, or has been there
        if arrival.epoch < state.stand.epoch:
            return Fate.STALE
        ahead = arrival.epoch > state.stand.epoch
        reach = state.gaps.first if ahead else state.reach
        if reach is not None and arrival.number < reach:
            return Fate.PAST
        if reach is not None and arrival.number - reach > state.gaps.max_jump:
            return Fate.JUMP
        if arrival.number == reach and not (ahead and (state.held or state.laid)):
            return Fate.READY
        return Fate.OVERFLOW if self._full(state, arrival) else Fate.HELD

    def _full(self, state: Stream[T], arrival: Arrival[T]) -> bool:
        return (
            state.events >= state.gaps.events
            or state.size + arrival.size > state.gaps.size
            or self.events >= self._room.events
            or self.size + arrival.size > self._room.size
        )

    def _decide(self, state: Stream[T], now: float) -> Overdue[T]:
        gap, policy = state.gap(*state.order[0]), state.gaps.policy
        rest = state.begun + state.gaps.patience.total_seconds() - now
        # The numbers of an epoch that its producer has ended do not come any more.
        hopeless = gap.last == 0 or state.newest > gap.epoch
        if state.linger is not None and (rest > 0 or (policy != "skip" and not hopeless)):
            endless = policy in ENDLESS and not hopeless
            moves = [Move(Fate.LAID, item) for item in self.withdraw(state.key)]
            left = None if endless else max(0.0, rest)
            return Overdue(gap=gap, decision="lay", moves=moves, rest=left)
        if policy == "resend" and state.requests < REQUESTS and not hopeless:
            state.requests += 1
            state.since = now
            self._watch(state)
            return Overdue(gap=gap, decision=policy, moves=[])
        if policy in ENDLESS and not hopeless:
            state.told = state.order[0]
            return Overdue(gap=gap, decision="wait", moves=[])
        return Overdue(gap=gap, decision="skip", moves=self._give_up(state))

    def _give_up(self, state: Stream[T]) -> list[Move[T]]:
        """Go on behind the first gap."""
        moves = self._release(state, _size(state.gap(*state.order[0])))
        self._watch(state)
        return moves

    # -- holding and releasing --------------------------------------------------------------------

    def _hold(self, state: Stream[T], arrival: Arrival[T]) -> None:
        place = (arrival.epoch, arrival.number)
        if place not in state.held:
            state.held[place] = []
            heapq.heappush(state.order, place)
        state.held[place].append(arrival)
        self._count(state, 1, arrival.size)
        if arrival.epoch > state.newest:
            state.newest = arrival.epoch
            state.told = None

    def _release(self, state: Stream[T], skipped: int | None = None) -> list[Move[T]]:
        """Let out what is held and has its predecessors; with *skipped*, the first without them."""
        moves: list[Move[T]] = []
        while state.order and (skipped is not None or self._follows(state, state.order[0])):
            place = heapq.heappop(state.order)
            first, *copies = state.held.pop(place)
            self._count(state, -1 - len(copies), -first.size - sum(copy.size for copy in copies))
            moves.append(self._out(state, first, skipped or 0))
            moves += [Move(Fate.PAST, copy.item) for copy in copies]
            state.pending += len(copies)
            skipped = None
        return moves

    def _follows(self, state: Stream[T], place: Place) -> bool:
        epoch, number = place
        ahead = epoch > state.stand.epoch
        reach = state.gaps.first if ahead else state.reach
        return number == reach and not (ahead and state.laid)

    def _out(self, state: Stream[T], arrival: Arrival[T], skipped: int) -> Move[T]:
        begins = arrival.epoch > state.stand.epoch
        handler, source, stream = state.key
        step = Advance(
            handler=handler,
            source=source,
            stream=stream,
            epoch=arrival.epoch,
            expected=NOT_BEGUN if begins else state.stand.next,
            next=arrival.number + 1,
            skipped=skipped,
        )
        state.stand = Position(arrival.epoch, arrival.number + 1)
        state.pending += 1
        state.requests, state.since = 0, -inf
        return Move(Fate.READY, arrival.item, step)

    # -- bookkeeping ------------------------------------------------------------------------------

    def _watch(self, state: Stream[T]) -> None:
        """Set the deadline of the gap before the lowest that is held."""
        if not state.order or state.order[0] == state.told:
            state.timer = None
            return
        patience = state.gaps.patience.total_seconds()
        linger = patience if state.linger is None else min(state.linger, patience)
        self._set(state, state.begun + linger)

    def _set(self, state: Stream[T], deadline: float) -> None:
        if deadline != state.timer:
            state.timer = deadline
            self._timers += 1
            heapq.heappush(self._deadlines, (deadline, self._timers, state.key))

    def _count(self, state: Stream[T], events: int, size: int) -> None:
        state.events += events
        state.size += size
        self.events += events
        self.size += size

    def _forget_idle(self, state: Stream[T]) -> None:
        if not state.held and state.pending <= 0 and self._streams.get(state.key) is state:
            del self._streams[state.key]


def _in_order(state: Stream[T]) -> Iterator[Arrival[T]]:
    for place in sorted(state.held):
        yield from state.held[place]


def _size(gap: Gap) -> int:
    return gap.last - gap.first + 1 if gap.last else 0
