"""A replay waits its turn among what is in flight, as the event would have."""

import asyncio
from uuid import uuid4

from choreo import Context, Event, Reject, Service
from choreo.broker import open_broker
from choreo.desk.desk import Desk
from choreo.desk.place import of_service
from choreo.desk.ruling import Wish
from choreo.runner import started


async def test_a_replay_does_not_run_beside_a_new_event_of_its_key() -> None:
    name = f"lane-{uuid4().hex[:8]}"
    begun, go = asyncio.Event(), asyncio.Event()
    steps: list[str] = []

    class Moved(Event, topic=f"{name}-moves", key="part"):
        part: str
        to: str

    service = Service(name, broker=f"memory://{name}")

    @service.on(Moved)
    async def move(moved: Moved, ctx: Context) -> None:
        if moved.to == "slow":
            begun.set()
            await go.wait()
        if moved.to == "refused" and not begun.is_set():
            raise Reject("not yet")
        steps.append(f"{moved.part} {moved.to}")

    async with started(service) as running, open_broker(f"memory://{name}") as broker:
        desk = Desk(broker, of_service(name, broker.capabilities))
        await running.publish([Moved(part="a", to="refused"), Moved(part="b", to="refused")])
        while len(cases := await desk.survey()) < 2:
            await asyncio.sleep(0)
        await running.publish([Moved(part="a", to="slow")])
        await begun.wait()
        await desk.replay(cases, Wish(), lambda _case, _why: None)
        while len(steps) < 1:
            await asyncio.sleep(0)
        before = list(steps)
        go.set()
        while len(steps) < 3:
            await asyncio.sleep(0)

    assert before == ["b refused"]
    assert steps == ["b refused", "a slow", "a refused"]
