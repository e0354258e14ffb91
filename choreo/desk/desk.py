"""The desk of one service's dead letters: reads them, and writes down what is done about them.

Theory of operation.  Letters are surveyed as light cases, ordered and cut into portions; of each
portion the letters are read again and sent in waves, in which every lane comes once, and the next
wave goes when the broker has the one before.  A replay and the record of it are one message, so a
desk that dies has recorded exactly what it sent; of the wave that was under way, what the broker
has not is sent by the next run, and what was sent without an answer goes again under the number
that it had, of which the service handles one.  Each replay names the one before it of its lane and
handler, whichever desk has sent that, so that a lane stops where it fails.
"""

from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from choreo.broker import Binding, Broker, Capabilities, TopicFilter, TopicSpec
from choreo.desk.case import Case, CaseReader, State, judged, restored
from choreo.desk.correction import Correction
from choreo.desk.order import portions, rounds, waves
from choreo.desk.pace import Pace
from choreo.desk.place import Place
from choreo.desk.repacking import repacked
from choreo.desk.ruling import Wish, generation, objection
from choreo.environment import Environment
from choreo.errors import ConfigurationError, DecodeError, PublishError
from choreo.failpoints import reached
from choreo.message import Delivery, Message
from choreo.replay import Action, Behind, Decision, decided, read_decision

PORTION_BYTES = 64 * 1024 * 1024
PORTION = 10_000
"""Letters held at once, at most; all others are held as cases."""
WAVE = 500

Done = Callable[[Case, str | None], None]
"""Told of every letter that was dealt with, and why it was not where it was not."""
Edition = tuple[str, int]


@dataclass(slots=True)
class Journal:
    """What the records of a desk say."""

    last: dict[Edition, Decision] = field(default_factory=dict[Edition, Decision])
    sent: dict[str, int] = field(default_factory=dict[str, int])
    """Highest number of a replay, by letter."""

    def note(self, decision: Decision) -> None:
        """Take a record in; of one letter the last one counts."""
        self.last[decision.letter, decision.edition] = decision
        if decision.action is Action.REPLAY:
            before = self.sent.get(decision.letter, 0)
            self.sent[decision.letter] = max(before, decision.generation)


class Desk:
    """Reads and decides at one place, in somebody's name."""

    def __init__(
        self, broker: Broker, place: Place, environment: Environment | None = None, *, by: str = ""
    ) -> None:
        environment = environment or Environment()
        self.place = place
        self._broker = broker
        self._capabilities = broker.capabilities
        self._clock = environment.clock
        self._batch = environment.ids.new()
        self._by = by
        self._reader = CaseReader(broker.capabilities, place.service)
        self._prepared = False
        self._latest: dict[Hashable, Behind] = {}
        """What was replayed last, by handler and lane."""

    @property
    def capabilities(self) -> Capabilities:
        """What the broker can do."""
        return self._capabilities

    @property
    def batch(self) -> str:
        """Names what this desk decides, in every record of it."""
        return self._batch

    # -- reading ----------------------------------------------------------------------------------

    async def survey(self) -> list[Case]:
        """Read all letters there are, each in its last edition, with what was decided about it."""
        cases: dict[str, Case] = {}
        letters = self.place.letters
        if self.place.service is not None and not await self._exists(letters.name):
            return []  # a service makes its topic when it starts for the first time
        async for found in self._all(letters):
            case = self._reader.read(found)
            before = cases.get(case.id)
            if before is None or case.replays >= before.replays:
                cases[case.id] = case
        journal = await self._journal()
        return [self._judged(case, journal) for case in cases.values()]

    async def letters(self, cases: Sequence[Case]) -> dict[str, Delivery]:
        """Read the letters of *cases* again, by id; those gone or buried anew are left out."""
        wanted = {(case.topic, case.stream, case.position): case for case in cases}
        if self._capabilities.topic_levels:  # positions are only of one reading there
            wanted = {(case.topic, "", 0): case for case in cases}
        found: dict[str, Delivery] = {}
        async for delivery in self._all(self.place.letters):
            place = (delivery.topic, delivery.stream, delivery.position)
            case = wanted.get((delivery.topic, "", 0) if self._capabilities.topic_levels else place)
            if case is not None and self._reader.read(delivery).replays == case.replays:
                found[case.id] = delivery
        return found

    async def whole(self, cases: Sequence[Case]) -> AsyncGenerator[tuple[Case, Delivery]]:
        """Read *cases* with their letters, in their order, a portion at a time."""
        for portion in portions(cases, size=PORTION_BYTES, most=PORTION):
            letters = await self.letters(portion)
            for case in portion:
                if case.id in letters:
                    yield case, letters[case.id]

    # -- deciding ---------------------------------------------------------------------------------

    def ordered(self, cases: Sequence[Case]) -> list[Case]:
        """Put *cases* in the order in which they are replayed."""
        lasting = self._capabilities.binding is not Binding.MQTT
        return list(chain.from_iterable(rounds(cases, lasting=lasting)))

    async def replay(self, cases: Sequence[Case], wish: Wish, done: Done) -> None:
        """Send *cases* in order, those of one key one after the other.

        A letter that the broker refuses keeps its key's later ones back. Raises PublishError if the
        broker's answer is not known: running it again sends what it has not got.
        """
        pace, begun, sent = Pace(wish.rate), self._clock.monotonic(), 0
        stopped: set[Hashable] = set()
        await self._prepare()
        self._latest = await self._under_way(cases) if wish.to is None else {}
        for portion in portions(self.ordered(cases), size=PORTION_BYTES, most=PORTION):
            letters = await self.letters(portion)
            journal = await self._journal()
            for wave in waves(portion, pace.most(WAVE)):
                going = [each for each in wave if self._goes(each, letters, journal, wish, done)]
                going = _not_behind(going, stopped, done)
                await self._clock.sleep(pace.wait(sent, self._clock.monotonic() - begun))
                stopped |= await self._send(going, letters, wish, done)
                sent += len(going)

    async def drop(self, cases: Sequence[Case], note: str, done: Done) -> None:
        """Write down that *cases* are given up, and why; kept letters are taken away then."""
        await self._prepare()
        for portion in portions(cases, size=PORTION_BYTES, most=WAVE):
            records = [self._record(case, Action.DROP, note=note) for case in portion]
            await self._note(records)
            if self._capabilities.retained:
                topics = [case.topic for case in portion]
                await self._broker.publish([Message(each, b"", retain=True) for each in topics])
            for case in portion:
                done(case, None)

    async def correct(self, case: Case, correction: Correction) -> None:
        """Have *correction* handled in place of *case*."""
        await self._prepare()
        now = self._clock.now()
        replaying = Decision(
            letter=correction.letter,
            action=Action.REPLAY,
            edition=0,
            generation=1,
            batch=self._batch,
            at=now,
            by=self._by,
        )
        # First what is to be handled: its id is derived, so that doing it twice is doing it once.
        # It is not kept: there is no letter that it would be the record of.
        going = decided(correction.message, replaying, self.place.prefix, self._capabilities)
        going.retain = False
        await self._send_on([going])
        await self._note([self._record(case, Action.EDIT, note=correction.event_id)])

    # -- within -----------------------------------------------------------------------------------

    async def _under_way(self, cases: Sequence[Case]) -> dict[Hashable, Behind]:
        """Find what lies right before the first of *cases*, by handler and lane, and was replayed.

        It has not come back: a desk that was killed has sent it, or somebody else has.
        """
        going = {case.id for case in cases}
        survey = await self.survey()
        gone = (case for case in survey if case.state is State.REPLAYED and case.id not in going)
        found: dict[Hashable, Behind] = {}
        begun: set[Hashable] = set()
        for case in self.ordered([*cases, *gone]):
            place = (case.told.handler, case.lane)
            if case.id in going:
                begun.add(place)
            elif place not in begun and (last := _replay_of(case, case.sent)) is not None:
                found[place] = last
        return found

    async def _send(
        self, cases: Sequence[Case], letters: dict[str, Delivery], wish: Wish, done: Done
    ) -> set[Hashable]:
        """Send one wave; tell the lanes of those that were refused in every form."""
        refused = await self._try(cases, [self._message(c, letters[c.id], wish) for c in cases])
        if wish.to is None and refused:
            once_more = [case for case in cases if case.id in refused]
            smaller = [self._message(c, repacked(letters[c.id]), wish) for c in once_more]
            refused = await self._try(once_more, smaller)
        accepted = [case for case in cases if case.id not in refused]
        if wish.to is not None and accepted:
            notes = [self._record(case, Action.SEND, note=wish.to) for case in accepted]
            await self._note(notes)
        for case in accepted if wish.to is None else ():
            self._note_sent(case, generation(case, wish))
        for case in cases:
            done(case, refused.get(case.id))
        return {case.lane for case in cases if case.id in refused}

    async def _try(self, cases: Sequence[Case], messages: Sequence[Message]) -> dict[str, str]:
        """Publish; tell why which was refused, and raise PublishError if anything is unknown."""
        if not messages:
            return {}
        try:
            await self._send_on(messages)
        except PublishError as error:
            if error.unknown or not error.refused:
                raise
            return {cases[place].id: why for place, why in error.refused.items()}
        return {}

    async def _send_on(self, messages: Sequence[Message]) -> None:
        """Publish what is to be handled."""
        reached("desk_sending")
        await self._broker.publish(messages)
        reached("desk_sent")

    async def _note(self, records: Sequence[Message]) -> None:
        """Write down what was decided and is no replay."""
        reached("desk_noting")
        await self._broker.publish(records)
        reached("desk_noted")

    def _message(self, case: Case, letter: Message, wish: Wish) -> Message:
        if wish.to is not None:
            return replace(_plain(restored(letter, case.told)), topic=wish.to)
        decision = replace(
            self._decision(case, Action.REPLAY),
            generation=generation(case, wish),
            forced=wish.force,
            behind=self._latest.get((case.told.handler, case.lane)) if case.told.handler else None,
        )
        return decided(letter, decision, self.place.prefix, self._capabilities)

    def _record(self, case: Case, action: Action, *, note: str) -> Message:
        decision = replace(self._decision(case, action), note=note)
        return decided(Message("", None), decision, self.place.prefix, self._capabilities)

    def _decision(self, case: Case, action: Action) -> Decision:
        return Decision(
            letter=case.id,
            action=action,
            edition=case.replays,
            generation=case.sent,
            batch=self._batch,
            at=self._clock.now(),
            buried=case.buried_text,
            by=self._by,
        )

    def _goes(
        self, case: Case, letters: dict[str, Delivery], journal: Journal, wish: Wish, done: Done
    ) -> bool:
        """Look once more: another desk may have been quicker, and letters expire."""
        why: str | None = None
        if case.id not in letters:
            why = "it is gone, or was buried again meanwhile"
        else:
            why = objection(self._judged(case, journal), wish)
        if why is not None:
            done(case, why)
            if (sent := journal.sent.get(case.id, 0)) > case.replays:
                self._note_sent(case, sent)
        return why is None

    def _note_sent(self, case: Case, number: int) -> None:
        """Remember what the next letter of its lane follows."""
        if (last := _replay_of(case, number)) is not None:
            self._latest[case.told.handler, case.lane] = last

    def _judged(self, case: Case, journal: Journal) -> Case:
        decision = journal.last.get((case.id, case.replays))
        # Equal messages are one letter on MQTT: the next one is open, whatever became of the last.
        if decision is not None and self._capabilities.binding is Binding.MQTT:
            decision = decision if decision.buried == case.buried_text else None
        return judged(case, decision, journal.sent.get(case.id, 0))

    async def _journal(self) -> Journal:
        journal = Journal()
        if await self._exists(self.place.prefix):
            async for record in self._all(self.place.journal):
                try:
                    journal.note(read_decision(record))
                except DecodeError:
                    continue  # not of a desk: the service says so when it comes by
        return journal

    async def _all(self, topic: TopicFilter) -> AsyncGenerator[Delivery]:
        async with self._broker.browse(topic) as deliveries:
            async for delivery in deliveries:
                yield delivery

    async def _exists(self, topic: str) -> bool:
        """Say whether *topic* can be read: looking at one that is not there may make it."""
        if self._capabilities.topic_levels:
            return True
        try:
            await self._broker.prepare([TopicSpec(name=topic)])
        except ConfigurationError:
            return False
        return True

    async def _prepare(self) -> None:
        if not self._prepared and not self._capabilities.topic_levels:
            await self._broker.prepare(
                [TopicSpec(name=self.place.prefix, create=True, partitions=1)]
            )
        self._prepared = True


def _not_behind(cases: Sequence[Case], stopped: set[Hashable], done: Done) -> list[Case]:
    """Tell those whose key goes on; nothing overtakes what was refused."""
    for case in cases:
        if case.lane in stopped:
            done(case, "an earlier letter of its key was refused")
    return [case for case in cases if case.lane not in stopped]


def _replay_of(case: Case, number: int) -> Behind | None:
    """Name a replay of *case*, if there is a name for the event in it."""
    if case.source is None or case.event_id is None:
        return None
    return Behind(case.source, case.event_id, number)


def _plain(message: Message) -> Message:
    return Message(message.topic, message.body, message.key, message.headers)
