"""Where reading what is kept ends, on a broker that is strict, slow or does not let us mark it."""

import asyncio

import pytest

from choreo.broker import TopicFilter
from choreo_mqtt import MqttBroker, browse
from choreo_mqtt.wire import Incoming, Retained
from tests.mqtt.fake_broker import Connection, FakeBroker

KEPT = 3
"""Flags of a PUBLISH: QoS 1, and retained."""


def browser(fake: FakeBroker) -> Connection:
    (found,) = [each for each in fake.publishers if "browse" in each.client_id]
    return found


async def test_the_mark_is_sent_behind_the_wish_for_what_is_kept(fake: FakeBroker) -> None:
    asked: list[tuple[str, int]] = []

    def answer(_: Incoming) -> int:
        asked.extend(browser(fake).filters)
        return 0

    fake.answer = answer
    async with MqttBroker(fake.url()) as broker, broker.browse(TopicFilter("t")):
        await fake.until(lambda: browser(fake).published)

    assert [name for name, _ in asked] == ["t", browser(fake).published[0].topic, "t"]
    assert [options >> 4 for _, options in asked] == [
        each.value for each in (Retained.NEVER, Retained.NEVER, Retained.ALWAYS)
    ]


async def test_a_broker_that_is_held_up_for_long_has_all_read_that_it_keeps(
    fake: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the mark, and so it is going to bring it."""
    monkeypatch.setattr(browse, "QUIET", 0.01)
    monkeypatch.setattr(browse, "UNMARKED", 0.04)

    async with MqttBroker(fake.url()) as broker, broker.browse(TopicFilter("t")) as reading:
        await fake.until(lambda: browser(fake).published)
        browser(fake).deliver(1, body=b"1", flags=KEPT)
        got = [(await anext(reading)).body]
        asyncio.get_running_loop().call_later(0.4, bring_the_rest, fake)
        got += [each.body async for each in reading]

    assert got == [b"1", b"2"]


def bring_the_rest(fake: FakeBroker) -> None:
    reader = browser(fake)
    reader.deliver(2, body=b"2", flags=KEPT)
    reader.deliver(3, topic=reader.published[0].topic)


@pytest.mark.parametrize("granted", [True, False])
async def test_where_no_mark_may_be_sent_a_pause_is_the_end(
    fake: FakeBroker, monkeypatch: pytest.MonkeyPatch, granted: bool
) -> None:
    monkeypatch.setattr(browse, "UNMARKED", 0.04)
    monkeypatch.setattr(browse, "OVERDUE", 3600.0)
    fake.grant = lambda name: 1 if granted or name == "t" else 0x87
    fake.answer = lambda _: 0x87 if granted else 0

    async with MqttBroker(fake.url()) as broker, broker.browse(TopicFilter("t")) as reading:
        await fake.until(lambda: browser(fake).published)
        browser(fake).deliver(1, body=b"1", flags=KEPT)
        got = [each.body async for each in reading]

    assert got == [b"1"]
