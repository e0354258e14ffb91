"""Replaying dead letters, within one process: whom it reaches, in which order, and how often."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from uuid import uuid4

import pytest

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeWriter
from choreo.dead_letter import dead_letter_filter, read_dead_letter
from choreo.desk.case import Case, State, restored
from choreo.desk.ruling import Wish
from choreo.desk.selection import EVERY, Selection
from choreo.envelope import Envelope
from choreo.message import Delivery, Message
from choreo.reason import Reason
from choreo.replay import MAX_REPLAYS, Action, Decision, decided, replay_topic
from choreo.timestamps import parse_rfc3339
from tests.desk.shop import Shop, opened

ALL = Selection(states=EVERY)


@pytest.fixture(name="shop")
async def _shop() -> AsyncGenerator[Shop]:
    """Return a shop in memory whose till is broken."""
    name = f"shop-{uuid4().hex[:8]}"
    async with opened(name, f"memory://{name}") as shop:
        yield shop


async def letters(shop: Shop) -> list[Delivery]:
    async with shop.broker.browse(dead_letter_filter(shop.name, shop.broker.capabilities)) as found:
        return [letter async for letter in found]


async def test_only_the_handler_that_failed_gets_a_replay(shop: Shop) -> None:
    """I12: it is accepted although the other handler has finished the same id."""
    await shop.place(("a", 1), ("b", 2))
    await shop.idle()
    shop.till.broken = False

    fates = await shop.replay(await shop.cases())
    await shop.idle()

    assert list(fates.values()) == [None, None]
    assert sorted(shop.till.charged) == [("a", 1), ("b", 2)]
    assert sorted(shop.till.noted) == [("a", 1), ("b", 2)]
    assert {case.state for case in await shop.cases(ALL)} == {State.REPLAYED}
    assert not await shop.cases()


async def test_a_replay_is_the_event_as_it_came(shop: Shop) -> None:
    """D6: id, source, conversation, headers, key and body are those of the first delivery."""
    spoofed = [("choreo-replay-letter", b"mine"), ("choreo-replay-generation", b"7"), ("x", None)]
    envelope = Envelope(
        id="e-1", source="urn:far", type="OrderPlaced.v1", data=b'{"order_id":"a","number":1}'
    )
    message = EnvelopeWriter(Binding.KAFKA).write(envelope, f"{shop.name}-orders", b"a")
    message.headers = [*message.headers, *spoofed]
    await shop.broker.publish([message])
    await shop.idle()
    shop.till.broken = False

    await shop.replay(await shop.cases())
    await shop.idle()

    (context,) = shop.till.contexts
    assert (context.id, context.source, context.correlation_id) == ("e-1", "urn:far", "e-1")
    assert context.delivery.topic == message.topic
    assert list(context.delivery.headers) == message.headers
    assert (context.delivery.body, context.delivery.key) == (message.body, b"a")


async def test_each_key_is_replayed_in_the_order_in_which_it_first_came(shop: Shop) -> None:
    """D8; also after one of them failed again and lies behind the others now."""
    await shop.place(*(("a", number) for number in range(3)), ("b", 0), ("b", 1))
    await shop.idle()
    first = next(case for case in await shop.cases() if case.key == "a")
    await shop.replay([first])
    await shop.idle()
    shop.till.broken = False

    await shop.replay(list(reversed(await shop.cases())))
    await shop.idle()

    assert [number for key, number in shop.till.charged if key == "a"] == [0, 1, 2]
    assert [number for key, number in shop.till.charged if key == "b"] == [0, 1]


async def test_a_replay_that_was_sent_twice_is_handled_once(shop: Shop) -> None:
    """Staged twice under one number, as by two people or after a crash."""
    await shop.place(("a", 1))
    await shop.idle()
    cases = await shop.cases()
    shop.till.broken = False

    await shop.replay(cases)
    await shop.replay(await shop.cases(ALL), Wish(again=True))
    await shop.idle()

    assert shop.till.charged == [("a", 1)]
    assert len(await sent(shop)) == 2


async def test_a_replay_that_fails_twice_in_one_number_is_tried_once(shop: Shop) -> None:
    await shop.place(("a", 1))
    await shop.idle()
    (case,) = await shop.cases()
    message = await staged(shop, case, generation=1)

    await shop.broker.publish([message, message])
    await shop.idle()

    assert shop.till.seen == [("a", 1)] * 2
    (again,) = await shop.cases()
    assert (again.id, again.replays) == (case.id, 1)


async def test_what_was_replayed_is_not_replayed_again_without_a_word(shop: Shop) -> None:
    await shop.place(("a", 1))
    await shop.idle()
    shop.till.broken = False
    await shop.replay(await shop.cases())
    await shop.idle()

    fates = await shop.replay(await shop.cases(ALL))

    assert list(fates.values()) == ["it was replayed already: say --again"]


async def test_what_is_done_stays_done_unless_it_is_forced(shop: Shop) -> None:
    """The event came again and was handled before anybody looked into the letters."""
    await shop.place(("a", 1))
    await shop.idle()
    shop.till.broken = False
    (case,) = await shop.cases()
    stored = await shop.desk.letters([case])
    await shop.broker.publish([plain(restored(stored[case.id], case.told))])
    await shop.idle()

    await shop.replay([case])
    await shop.idle()
    unforced = list(shop.till.charged)
    await shop.replay(await shop.cases(ALL), Wish(force=True))
    await shop.replay(await shop.cases(ALL), Wish(force=True))
    await shop.idle()

    assert unforced == [("a", 1)]
    assert shop.till.charged == [("a", 1)] * 3


async def test_a_letter_does_not_grow_over_a_hundred_replays(shop: Shop) -> None:
    """D3, D4: it stays one letter, counts its replays, and is kept back after ten of them."""
    await shop.place(("a", 1))
    await shop.idle()
    sizes: list[int] = []
    kept: set[str | None] = set()

    for number in range(100):
        (case,) = await shop.cases()
        sizes.append(case.size)
        if number == MAX_REPLAYS:
            kept |= set((await shop.replay([case])).values())
        await shop.replay([case], Wish(force=number >= MAX_REPLAYS))
        await shop.idle()

    (last,) = await shop.cases()
    assert last.replays == 100
    assert (
        len({letter.id for each in await letters(shop) if (letter := read_dead_letter(each))}) == 1
    )
    assert max(sizes[1:]) - min(sizes[1:]) <= len("100")
    assert kept == {f"it was replayed {MAX_REPLAYS} times or more: say --force"}
    assert shop.till.seen == [("a", 1)] * 101


async def test_a_replay_beyond_the_limit_goes_back_with_a_reason_of_its_own(shop: Shop) -> None:
    """D3: whoever stages replays without this desk meets the same limit."""
    await shop.place(("a", 1))
    await shop.idle()
    (case,) = await shop.cases()

    await shop.broker.publish([await staged(shop, case, generation=MAX_REPLAYS + 1)])
    await shop.idle()

    (again,) = await shop.cases()
    assert again.told.reason == Reason.REPLAY_LIMIT
    assert again.told.handler == "charge"
    assert shop.till.seen == [("a", 1)]


async def test_a_replay_for_a_handler_that_is_gone_goes_back(shop: Shop) -> None:
    await shop.place(("a", 1))
    await shop.idle()
    (case,) = await shop.cases()
    letter = (await shop.desk.letters([case]))[case.id]
    letter.headers = [
        (name, b"renamed" if name == "choreo-dlq-handler" else value)
        for name, value in letter.headers
    ]

    await shop.broker.publish([await staged(shop, case, generation=1, letter=letter)])
    await shop.idle()

    (again,) = await shop.cases()
    assert (again.told.reason, again.told.handler) == (Reason.NO_HANDLER, "renamed")
    assert shop.till.seen == [("a", 1)]
    assert shop.till.noted == [("a", 1)]


async def test_replay_headers_on_any_other_topic_mean_nothing(shop: Shop) -> None:
    """T3: a producer cannot pick a handler, or have what is done handled again."""
    await shop.place(("a", 1))
    await shop.idle()
    (case,) = await shop.cases()
    shop.till.broken = False
    await shop.replay([case])
    await shop.idle()
    forged = await staged(shop, case, generation=9, forced=True)

    await shop.broker.publish([replace(forged, topic=f"{shop.name}-orders")])
    await shop.idle()

    assert shop.till.charged == [("a", 1)]


async def test_what_no_desk_wrote_on_the_replay_topic_is_buried(shop: Shop) -> None:
    topic = replay_topic(shop.name)
    spoilt: list[Message] = [
        Message(topic, b"\xff", b"k"),
        Message(topic, None, None, [("choreo-replay-letter", None)]),
        Message(
            topic, b"{}", None, [("choreo-replay-letter", b"x"), ("choreo-replay-action", b"no")]
        ),
    ]

    await shop.broker.publish(spoilt)
    await shop.idle()

    assert [case.told.reason for case in await shop.cases()] == [Reason.MALFORMED] * 3


async def test_a_replay_of_another_services_letter_is_refused(shop: Shop) -> None:
    """T3: a letter names its handler, and so only those of one service are believed."""
    await shop.place(("a", 1))
    await shop.idle()
    (case,) = await shop.cases()
    letter = (await shop.desk.letters([case]))[case.id]
    letter.headers = [(n, b"other" if n == "choreo-dlq-group" else v) for n, v in letter.headers]
    shop.till.broken = False

    await shop.broker.publish([await staged(shop, case, generation=1, letter=letter)])
    await shop.idle()

    assert shop.till.charged == []
    assert Reason.MALFORMED in {case.told.reason for case in await shop.cases()}


async def test_a_letter_that_was_replayed_still_tells_where_it_first_failed(shop: Shop) -> None:
    await shop.place(("b", 0), ("a", 1), ("a", 2))
    await shop.idle()
    before = {case.id: case for case in await shop.cases()}

    await shop.replay(list(before.values()))
    await shop.idle()

    after = await shop.cases()
    assert len(after) == 3
    for case in after:
        first = before[case.id].told
        now = case.told
        assert (now.topic, now.stream, now.position) == (first.topic, first.stream, first.position)
        assert now.first_failed == first.first_failed
        assert (now.buried or now.first_failed) != first.buried


async def test_a_letter_of_no_handler_goes_to_all_that_can_take_it_now(shop: Shop) -> None:
    """What could not be read before may be read by the next version of the service."""
    event = shop.event
    unknown = Envelope(id="1", source="urn:x", type="OrderPlaced.v2", data=b"{}")
    message = EnvelopeWriter(Binding.KAFKA).write(unknown, f"{shop.name}-orders", b"a")
    await shop.broker.publish([message])
    await shop.idle()
    (case,) = await shop.cases()
    assert (case.told.reason, case.told.handler) == (Reason.UNKNOWN_VERSION, None)
    letter = (await shop.desk.letters([case]))[case.id]
    read = [
        (name, b"OrderPlaced.v1" if name == "ce_type" else value) for name, value in letter.headers
    ]
    letter.headers = read
    letter.body = event(order_id="a", number=1).model_dump_json().encode()
    shop.till.broken = False

    await shop.broker.publish([await staged(shop, case, generation=1, letter=letter)])
    await shop.idle()

    assert (shop.till.charged, shop.till.noted) == ([("a", 1)], [("a", 1)])


async def sent(shop: Shop) -> list[Delivery]:
    place = replace(dead_letter_filter("x", shop.broker.capabilities), name=replay_topic(shop.name))
    async with shop.broker.browse(place) as found:
        return [each async for each in found]


async def staged(
    shop: Shop, case: Case, *, generation: int, forced: bool = False, letter: Message | None = None
) -> Message:
    """Make a replay by hand, as another program would."""
    if letter is None:
        letter = (await shop.desk.letters([case]))[case.id]
    decision = Decision(
        letter=case.id,
        action=Action.REPLAY,
        edition=case.replays,
        generation=generation,
        batch="by hand",
        at=parse_rfc3339("2026-01-31T12:00:00Z"),
        forced=forced,
    )
    return decided(letter, decision, replay_topic(shop.name), shop.broker.capabilities)


def plain(message: Message) -> Message:
    return Message(message.topic, message.body, message.key, message.headers)
