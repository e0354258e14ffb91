"""What else is decided about letters: given up, corrected, sent elsewhere; and its record."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from uuid import uuid4

import pytest

from choreo.broker import TopicFilter
from choreo.desk.case import CaseReader, State, restored
from choreo.desk.correction import corrected
from choreo.desk.ruling import Wish
from choreo.desk.selection import EVERY, Selection
from choreo.message import Message
from tests.desk.shop import Shop, opened

ALL = Selection(states=EVERY)


@pytest.fixture(name="shop")
async def _shop() -> AsyncGenerator[Shop]:
    """Return a shop in memory whose till is broken."""
    name = f"shop-{uuid4().hex[:8]}"
    async with opened(name, f"memory://{name}") as shop:
        yield shop


async def test_a_dropped_letter_says_who_dropped_it_and_why(shop: Shop) -> None:
    await shop.place(("a", 1), ("b", 2))
    await shop.idle()
    dropped = [case for case in await shop.cases() if case.key == "a"]

    await shop.desk.drop(dropped, "sent by a test", lambda _case, _why: None)
    await shop.idle()

    assert [case.key for case in await shop.cases()] == ["b"]
    (case,) = [case for case in await shop.cases(ALL) if case.key == "a"]
    assert case.decision is not None
    assert (case.state, case.decision.note, case.decision.by) == (
        State.DROPPED,
        "sent by a test",
        "test",
    )
    assert sorted(shop.till.seen) == [("a", 1), ("b", 2)]


async def test_a_corrected_event_has_an_id_of_its_own_and_the_old_one_as_its_cause(
    shop: Shop,
) -> None:
    await shop.place(("a", 1))
    await shop.idle()
    (case,) = await shop.cases()
    letter = (await shop.desk.letters([case]))[case.id]
    capabilities = shop.broker.capabilities
    old = CaseReader(capabilities).envelope(restored(letter, case.told))
    assert old is not None
    shop.till.broken = False
    amended = replace(old, data=json.dumps({"order_id": "a", "number": 42}).encode())

    for _ in range(2):  # as after a crash between the replay and its record
        await shop.desk.correct(case, corrected(case, letter, old, amended, capabilities))
    await shop.idle()

    (context,) = shop.till.contexts
    assert shop.till.charged == [("a", 42)]
    assert shop.till.noted == [("a", 1)]
    assert context.id != old.id
    assert (context.envelope.causation_id, context.correlation_id) == (old.id, old.conversation)
    (edited,) = await shop.cases(ALL)
    assert edited.decision is not None
    assert (edited.state, edited.decision.note) == (State.EDITED, context.id)


async def test_a_letter_of_another_service_is_not_given_to_ours(shop: Shop) -> None:
    """Somebody has copied it from its topic to ours."""
    await shop.place(("a", 1))
    await shop.idle()
    (case,) = await shop.cases()
    letter = (await shop.desk.letters([case]))[case.id]
    headers = [(n, b"others" if n == "choreo-dlq-group" else v) for n, v in letter.headers]
    await shop.broker.publish([Message(letter.topic, letter.body, letter.key, headers)])

    (case,) = await shop.cases()
    fates = await shop.replay([case])

    assert list(fates.values()) == ["this service did not bury it: name a topic with --to"]


async def test_a_letter_sent_to_a_named_topic_goes_there_as_it_came(shop: Shop) -> None:
    await shop.place(("a", 1), ("a", 2))
    await shop.idle()
    cases = await shop.cases()

    await shop.replay(cases, Wish(to="elsewhere"))

    async with shop.broker.browse(TopicFilter("elsewhere")) as found:
        arrived = [each async for each in found]
    assert [json.loads(each.body or b"")["number"] for each in arrived] == [1, 2]
    assert not [name for each in arrived for name, _ in each.headers if name.startswith("choreo-")]
    assert {case.state for case in await shop.cases(ALL)} == {State.SENT}
