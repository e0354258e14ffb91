"""A relay at work on an outbox in memory, on a clock of the test's own."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from random import Random

import pytest

from choreo.delivery.relay import Relay, RelaySettings
from choreo.delivery.waves import Refusing
from choreo.environment import Environment
from choreo.errors import ConnectionLost, PublishError
from choreo.message import Message
from choreo.retry import Retry
from choreo.store.memory import MemoryStore
from choreo.testing.clock import ManualClock
from tests.outbox.emitting import Place, emission

SETTINGS = RelaySettings(
    lease=timedelta(seconds=9),
    refusing=Refusing(retry=Retry(attempts=3, initial=timedelta(seconds=2), jitter=0)),
)


class Wire:
    """Takes messages as a broker does; what it refuses, loses or delays is up to the test."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.down = False
        self.open = asyncio.Event()
        self.open.set()

    @property
    def accepted(self) -> list[str]:
        return [name for call in self.calls for name in call]

    async def publish(self, messages: Sequence[Message]) -> None:
        names = [dict(message.headers)["ce_id"] for message in messages]
        if self.down:
            raise ConnectionLost("nobody there")
        await self.open.wait()
        texts = [(name or b"").decode() for name in names]
        refused = {i: "too large" for i, name in enumerate(texts) if name in self.refused}
        unknown = {i: "no answer" for i, name in enumerate(texts) if name in self.unknown}
        self.calls.append([name for i, name in enumerate(texts) if i not in refused | unknown])
        if refused or unknown:
            raise PublishError("not all", refused=refused, unknown=unknown)


class World:
    """One service's outbox, and relays that empty it into one wire."""

    def __init__(self, clock: ManualClock, place: Place) -> None:
        self.clock = clock
        self.place = place
        self.wire = Wire()

    def relay(self, settings: RelaySettings = SETTINGS) -> Relay:
        environment = Environment(clock=self.clock, random=Random(1))
        return Relay(self.place.outbox, self.wire.publish, environment, settings)

    @asynccontextmanager
    async def running(self, relay: Relay) -> AsyncGenerator[asyncio.Task[None]]:
        task = asyncio.create_task(relay.run())
        try:
            await self.clock.advance(0.0)
            yield task
        finally:
            relay.stop()
            self.wire.open.set()
            await self.clock.advance(0.0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    clock = ManualClock()
    async with MemoryStore(clock=clock) as store:
        yield World(clock, Place(await store.ledger("shop", ["charge"])))


async def test_what_is_committed_goes_out_when_the_relay_is_woken(world: World) -> None:
    relay = world.relay()
    async with world.running(relay):
        await world.place.emit(emission("e1"), emission("e2"), emission("o", lane="orders/2"))
        relay.wake()
        await world.clock.advance(0.0)

        assert world.wire.calls == [["e1", "o"], ["e2"]]
        assert relay.state.published == 3
        assert (await world.place.outbox.backlog("any")).depth == 0


async def test_nobody_has_to_wake_it(world: World) -> None:
    """O6: it looks by itself every second."""
    async with world.running(world.relay()):
        await world.place.emit(emission("e1"))
        await world.clock.advance(1.0)

        assert world.wire.accepted == ["e1"]


async def test_each_row_is_published_once_where_nothing_fails(world: World) -> None:
    """O14."""
    relays = [world.relay() for _ in range(3)]
    async with (
        world.running(relays[0]),
        world.running(relays[1]),
        world.running(relays[2]),
    ):
        await world.clock.advance(10.0)
        expected = [f"e{number:03}" for number in range(200)]
        for name in expected:
            await world.place.emit(emission(name, lane=name))
        for relay in relays:
            relay.wake()
        await world.clock.advance(2.0)

        assert sorted(world.wire.accepted) == expected
        assert all(relay.state.shards in {10, 11} for relay in relays)
        assert all(relay.state.published for relay in relays)


async def test_a_refused_row_holds_its_lane_and_no_other(world: World) -> None:
    """O5, P6."""
    world.wire.refused = {"e1"}
    async with world.running(world.relay()):
        await world.place.emit(emission("e1"), emission("e2"), emission("o", lane="orders/2"))
        await world.clock.advance(1.0)
        await world.place.emit(emission("e3"), emission("p", lane="orders/2"))
        await world.clock.advance(1.5)
        assert world.wire.accepted == ["o", "p"]

        world.wire.refused = set()
        await world.clock.advance(4.0)
        await world.place.emit(emission("e4"))
        await world.clock.advance(1.0)

        assert world.wire.accepted == ["o", "p", "e1", "e2", "e3", "e4"]


async def test_a_row_refused_for_good_waits_with_its_lane_for_an_operator(world: World) -> None:
    world.wire.refused = {"e1"}
    relay = world.relay()
    async with world.running(relay):
        await world.place.emit(emission("e1"), emission("e2"))
        await world.clock.advance(60.0)

        assert world.wire.accepted == []
        assert relay.state.refused == 3
        assert (relay.state.backlog.quarantined, relay.state.backlog.waiting) == (1, 1)


async def test_a_lane_may_go_on_without_a_row_refused_for_good(world: World) -> None:
    world.wire.refused = {"e1"}
    settings = RelaySettings(refusing=Refusing(retry=Retry(attempts=2), then="pass"))
    async with world.running(world.relay(settings)):
        await world.place.emit(emission("e1"), emission("e2"))
        await world.clock.advance(60.0)

        assert world.wire.accepted == ["e2"]


async def test_what_is_unknown_is_sent_again_in_order(world: World) -> None:
    """O1: under the same id, before what follows it."""
    world.wire.unknown = {"e1"}
    async with world.running(world.relay()):
        await world.place.emit(emission("e1"), emission("e2"), emission("o", lane="orders/2"))
        await world.clock.advance(2.0)
        assert world.wire.accepted == ["o"]

        world.wire.unknown = set()
        await world.clock.advance(10.0)

        assert world.wire.accepted == ["o", "e1", "e2"]


async def test_an_outage_of_the_broker_costs_no_attempt(world: World) -> None:
    world.wire.down = True
    relay = world.relay()
    async with world.running(relay):
        await world.place.emit(emission("e1"), emission("e2"))
        await world.clock.advance(300.0)
        world.wire.down = False
        await world.clock.advance(10.0)

        assert world.wire.accepted == ["e1", "e2"]
        assert relay.state.refused == 0


async def test_a_relay_paused_beyond_its_lease_publishes_nothing_of_it(world: World) -> None:
    """O4: it looks at the lease before each wave, on a clock that ran on meanwhile."""
    paused = 0.0
    relay = Relay(
        world.place.outbox,
        world.wire.publish,
        Environment(clock=world.clock),
        SETTINGS,
        elapsed=lambda: world.clock.monotonic() + paused,
    )
    async with world.running(relay):
        world.wire.open.clear()
        await world.place.emit(emission("e1"), emission("e2"))
        await world.clock.advance(1.0)
        paused = 20.0
        await world.place.outbox.leave(relay._tenure.life.holder)
        taken = await world.place.outbox.keep("other", timedelta(minutes=1))
        world.wire.open.set()
        await world.clock.advance(0.0)

        assert world.wire.accepted == ["e1"]
        assert len(taken.held) == 32
        await world.clock.advance(10.0)
        assert world.wire.accepted == ["e1"]
        assert relay.state.fenced == 1


async def test_a_relay_that_lost_a_shard_goes_on_under_another_name(world: World) -> None:
    """O4: what the old one left under way can write nothing that the new one has not read."""
    relay = world.relay()
    async with world.running(relay):
        before = relay._tenure.life.holder
        await world.place.outbox.release(before, [0, 1, 2])
        await world.place.outbox.keep("other", timedelta(minutes=1))
        await world.clock.advance(4.0)

        assert relay._tenure.life.holder != before
        assert (relay.state.fenced, relay.state.relays) == (1, 2)


async def test_flushing_returns_when_all_that_was_there_is_out(world: World) -> None:
    relay = world.relay()
    async with world.running(relay):
        await world.place.emit(*(emission(f"e{number}") for number in range(70)))

        await relay.flush()

        assert len(world.wire.accepted) == 70


async def test_flushing_what_does_not_run_returns_at_once(world: World) -> None:
    relay = world.relay()
    await relay.flush()
    async with world.running(relay):
        pass
    await relay.flush()


async def test_a_stopped_relay_hands_its_shards_over_at_once(world: World) -> None:
    async with world.running(world.relay()):
        pass

    share = await world.place.outbox.keep("other", timedelta(minutes=1))

    assert (len(share.held), share.relays) == (32, 1)


async def test_numbers_are_stamped_on_what_has_one(world: World) -> None:
    """R5."""
    stamped: list[tuple[int, bool]] = []

    def stamp(message: Message, number: int, epoch: int) -> Message:
        stamped.append((number, epoch > 0))
        return message

    environment = Environment(clock=world.clock)
    relay = Relay(world.place.outbox, world.wire.publish, environment, SETTINGS, stamp=stamp)
    async with world.running(relay):
        await world.place.emit(emission("e1", stream="s"), emission("e2", stream="s"))
        await world.place.emit(emission("plain"))
        await world.clock.advance(2.0)

        assert stamped == [(1, True), (2, True)]
