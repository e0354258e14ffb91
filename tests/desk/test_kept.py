"""The desk where a broker keeps values: on MQTT letters and replays are retained messages."""

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from choreo.broker import Binding, TopicFilter
from choreo.cloudevents import EnvelopeWriter
from choreo.desk.case import CaseReader, State, restored
from choreo.desk.correction import corrected
from choreo.desk.ruling import Wish
from choreo.desk.selection import EVERY, Selection
from choreo.envelope import Envelope
from choreo.message import Message
from tests.desk.shop import Shop, opened
from tests.local import MqttPart

ALL = Selection(states=EVERY)


@pytest.fixture(name="shop")
async def _shop(mosquitto: MqttPart, fresh_name: Callable[[str], str]) -> AsyncGenerator[Shop]:
    """Return a shop on MQTT whose till is broken; nothing of it stays on the broker."""
    async with opened(fresh_name("desk"), mosquitto.url) as shop:
        yield shop
        for topic in (shop.desk.place.letters, shop.desk.place.journal):
            names = await kept(shop, topic)
            await shop.broker.publish([Message(name, b"", retain=True) for name in names])


async def kept(shop: Shop, topic: TopicFilter) -> list[str]:
    async with shop.broker.browse(topic) as found:
        return [each.topic async for each in found]


async def buried(shop: Shop, count: int) -> None:
    await shop.until(lambda: len(shop.till.seen) >= count)
    while len(await shop.cases()) < count:
        pass


async def arrived(shop: Shop) -> None:
    """Wait until everything that was sent before has been dealt with."""
    seen = len(shop.till.noted)
    await shop.place(("marker", 0))
    await shop.until(lambda: len(shop.till.noted) > seen)


async def test_what_is_dropped_leaves_a_note_and_no_letter(shop: Shop) -> None:
    await shop.place(("a", 1), ("b", 2))
    await buried(shop, 2)
    (dropped,) = [case for case in await shop.cases() if case.key == "a"]

    await shop.desk.drop([dropped], "sent by a test", lambda _case, _why: None)
    await arrived(shop)

    letters = await kept(shop, shop.desk.place.letters)
    assert dropped.topic not in letters
    assert await kept(shop, shop.desk.place.journal) == [f"{shop.desk.place.prefix}{dropped.id}"]
    assert {case.key for case in await shop.cases(ALL)} == {"b", "marker"}


async def test_taking_a_kept_replay_away_is_no_event(shop: Shop) -> None:
    """An operator who tidies up must not make letters by it."""
    await shop.place(("a", 1))
    await buried(shop, 1)
    shop.till.broken = False
    await shop.replay(await shop.cases())
    await shop.until(lambda: shop.till.charged)

    (name,) = await kept(shop, shop.desk.place.journal)
    await shop.broker.publish([Message(name, b"", retain=True)])
    await arrived(shop)

    assert len(await shop.cases(ALL)) == 1
    assert shop.till.charged == [("a", 1), ("marker", 0)]


async def test_the_same_message_buried_again_later_is_open_again(shop: Shop) -> None:
    """Equal messages are one letter on MQTT: what was decided of the first is not of the next."""
    envelope = Envelope(
        id="e-1", source="urn:far", type="OrderPlaced.v1", data=b'{"order_id":"a","number":1}'
    )
    message = EnvelopeWriter(Binding.MQTT).write(envelope, f"{shop.name}-orders", None)
    await shop.broker.publish([message])
    await buried(shop, 1)
    (first,) = await shop.cases()
    await shop.desk.drop([first], "a mistake", lambda _case, _why: None)

    await shop.broker.publish([message])
    await shop.until(lambda: len(shop.till.seen) == 2)
    while not (cases := await shop.cases()):
        pass

    assert [case.id for case in cases] == [first.id]


async def test_a_replay_that_fails_and_one_that_is_forced_are_one_letter(shop: Shop) -> None:
    await shop.place(("a", 1))
    await buried(shop, 1)
    for number in (1, 2):
        await shop.replay(await shop.cases())
        await shop.until(lambda: len(shop.till.seen) == number + 1)  # noqa: B023 -- awaited here
        while not await shop.cases():
            pass
    (twice,) = await shop.cases()
    shop.till.broken = False
    await shop.replay([twice])
    await shop.until(lambda: shop.till.charged)

    await shop.replay(await shop.cases(ALL), Wish(again=True))
    await arrived(shop)
    once = shop.till.charged.count(("a", 1))
    await shop.replay(await shop.cases(ALL), Wish(force=True))
    await arrived(shop)

    assert twice.replays == 2
    assert (once, shop.till.charged.count(("a", 1))) == (1, 2)
    assert len(await kept(shop, shop.desk.place.letters)) == 1
    assert len(await kept(shop, shop.desk.place.journal)) == 1


async def test_a_corrected_event_is_not_kept_and_the_old_letter_is_marked(shop: Shop) -> None:
    await shop.place(("a", 1))
    await buried(shop, 1)
    (case,) = await shop.cases()
    letter = (await shop.desk.letters([case]))[case.id]
    capabilities = shop.broker.capabilities
    old = CaseReader(capabilities).envelope(restored(letter, case.told))
    assert old is not None
    amended = replace(old, data=json.dumps({"order_id": "a", "number": 42}).encode())
    shop.till.broken = False

    await shop.desk.correct(case, corrected(case, letter, old, amended, capabilities))
    await shop.until(lambda: shop.till.charged)

    assert shop.till.charged == [("a", 42)]
    (edited,) = await shop.cases(ALL)
    assert edited.state is State.EDITED
    assert await kept(shop, shop.desk.place.journal) == [f"{shop.desk.place.prefix}{case.id}"]
