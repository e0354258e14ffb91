"""A letter just as large as its topic takes has no room for what a replay adds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
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
from tests.patience import patient

TRACKS = [
    ("ann", "small"),
    ("ann", "long " * 500),
    ("bob", "".join(Random(1).choices(ascii_letters, k=4000))),
    ("bob", "after"),
]


class Walked(Event):
    who: str
    track: str


@dataclass
class Path:
    """A service that takes nothing until it is mended."""

    mended: bool = False
    got: list[Message] = field(default_factory=list[Message])

    def service(self, name: str, url: str, event: type[Walked]) -> Service:
        service = Service(name, broker=url)

        @service.on(event, id="walk")
        async def walk(walked: Walked, ctx: Context) -> None:
            if not self.mended:
                raise Reject("never")
            self.got.append(ctx.delivery)

        return service


async def test_a_letter_that_does_not_fit_is_packed_and_arrives_whole(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """And one that fits in no form is named, and keeps the later ones of its key back."""
    topic, name = fresh_name("large"), fresh_name("shop")

    class WalkedHere(Walked, topic=topic, key="who"):
        pass

    real_kafka.create_topic(topic, partitions=1)
    largest = {"max.message.bytes": "2000"}
    real_kafka.admin.create_topic(replay_topic(name), partitions=1, config=largest)
    path = Path()
    fates: dict[str | None, list[str | None]] = {}
    async with (
        started(path.service(name, real_kafka.url, WalkedHere)) as running,
        open_broker(real_kafka.url) as broker,
        asyncio.timeout(patient(50)),
    ):
        desk = Desk(broker, of_service(name, broker.capabilities))
        await running.publish([WalkedHere(who=who, track=track) for who, track in TRACKS])
        while len(cases := await desk.survey()) < len(TRACKS):
            await asyncio.sleep(0.1)
        path.mended = True
        await desk.replay(cases, Wish(), lambda c, why: fates.setdefault(c.key, []).append(why))
        while len(path.got) < 2:
            await asyncio.sleep(0.01)
        async with broker.browse(desk.place.journal) as found:
            packed = [BODY in dict(each.headers) async for each in found]

    assert packed == [False, True]
    events = [Walked.model_validate_json(each.body or b"") for each in path.got]
    assert [(event.who, event.track) for event in events] == TRACKS[:2]
    assert not [n for each in path.got for n, _ in each.headers if n.startswith("choreo-")]
    assert fates["ann"] == [None, None]
    assert fates["bob"][0] is not None
    assert fates["bob"][1] == "an earlier letter of its key was refused"
