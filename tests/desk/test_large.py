"""A letter just as large as its topic takes has no room for what a replay adds."""

import asyncio
from collections.abc import Callable
from random import Random
from string import ascii_letters

from choreo import Context, Event, Reject, Service
from choreo.broker import open_broker
from choreo.desk.desk import Desk
from choreo.desk.place import of_service
from choreo.desk.ruling import Wish
from choreo.message import Message
from choreo.packing import BODY
from choreo.replay import replay_topic
from choreo.runner import started
from tests.local import KafkaPart


async def test_a_letter_that_does_not_fit_is_packed_and_arrives_whole(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """And one that fits in no form is named, and keeps the later ones of its key back."""
    topic, name = fresh_name("large"), fresh_name("shop")

    class Walked(Event, topic=topic, key="who"):
        who: str
        track: str

    real_kafka.create_topic(topic, partitions=1)
    largest = {"max.message.bytes": "2000"}
    real_kafka.admin.create_topic(replay_topic(name), partitions=1, config=largest)
    shop = Service(name, broker=real_kafka.url)
    mended, got = False, list[Message]()

    @shop.on(Walked)
    async def walk(walked: Walked, ctx: Context) -> None:
        if not mended:
            raise Reject("never")
        got.append(ctx.delivery)

    noise = "".join(Random(1).choices(ascii_letters, k=4000))
    tracks = [("ann", "small"), ("ann", "long " * 500), ("bob", noise), ("bob", "after")]
    fates: dict[str | None, list[str | None]] = {}
    async with started(shop) as running, open_broker(real_kafka.url) as broker:
        desk = Desk(broker, of_service(name, broker.capabilities))
        await running.publish([Walked(who=who, track=track) for who, track in tracks])
        async with asyncio.timeout(30):
            while len(cases := await desk.survey()) < len(tracks):
                await asyncio.sleep(0.1)
        mended = True
        await desk.replay(cases, Wish(), lambda c, why: fates.setdefault(c.key, []).append(why))
        async with asyncio.timeout(30):
            while len(got) < 2:
                await asyncio.sleep(0.01)
        async with broker.browse(desk.place.journal) as found:
            packed = [BODY in dict(each.headers) async for each in found]

    assert packed == [False, True]
    events = [Walked.model_validate_json(each.body or b"") for each in got]
    assert [(event.who, event.track) for event in events] == tracks[:2]
    assert not [name for each in got for name, _ in each.headers if name.startswith("choreo-")]
    assert fates["ann"] == [None, None]
    refused, behind = fates["bob"]
    assert refused is not None
    assert behind == "an earlier letter of its key was refused"
