"""What a seed cannot replay is told, and what looks like it and can be is not."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from itertools import count
from threading import Thread
from typing import Any

import pytest

from choreo import Event, Service
from choreo.testing.simulation import Simulation, SimulationFailed, World, observe, simulate

LIVES = count()


class Placed(Event, topic="placed", key="customer"):
    customer: str


class Label(Event, topic="labels", key="customer"):
    customer: str
    text: str


async def place(world: World) -> None:
    """Place a few orders."""
    for _ in range(4):
        await world.publish(Placed(customer="anna"))
        await world.sleep(world.random.random())


def labels(text: Callable[[], Any], store: str | None = "memory://") -> list[Service[Any]]:
    """Make a service that writes on labels whatever *text* gives."""
    service: Service[Any] = Service("labels", store=store)

    @service.on(Placed)
    async def label(placed: Placed) -> AsyncIterator[Label]:
        written = text()
        for line in await written if asyncio.iscoroutine(written) else written:
            yield Label(customer=placed.customer, text=line)

    return [service]


def drawn() -> list[Service[Any]]:
    """Draw the order of two labels from a chance that everybody shares."""
    return labels(lambda: random.sample(["fragile", "heavy"], 2))


def told_at_once() -> list[Service[Any]]:
    """Do the same without a store, so that labels are out before the event is done."""
    return labels(lambda: random.sample(["fragile", "heavy"], 2), store=None)


def timed() -> list[Service[Any]]:
    """Write the time of the real world."""
    return labels(lambda: [f"{time.time_ns()}"])


def numbered() -> list[Service[Any]]:
    """Write a number that lives on between worlds."""
    return labels(lambda: [f"{next(LIVES)}"])


def threaded() -> list[Service[Any]]:
    """Let a thread of its own wake the handler."""

    async def text() -> list[str]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        Thread(target=loop.call_soon_threadsafe, args=(done.set_result, ["done"])).start()
        written: list[str] = await done
        return written

    return labels(text)


def aside() -> list[Service[Any]]:
    """Let asyncio have done in a thread what would block."""
    return labels(lambda: asyncio.to_thread(lambda: ["done"]))


@pytest.mark.parametrize("services", [drawn, aside])
def test_what_a_seed_decides_is_the_same_twice(services: Callable[[], list[Service[Any]]]) -> None:
    simulation = Simulation(services, place)

    assert simulation.run(3).digest == simulation.run(3).digest
    assert simulate(services, place, seeds=range(20)).findings == []


@pytest.mark.parametrize("services", [timed, numbered])
def test_what_is_not_the_seed_s_is_told(services: Callable[[], list[Service[Any]]]) -> None:
    with pytest.raises(SimulationFailed, match=r"same_twice: event .* had another payload"):
        simulate(services, place, seeds=range(20))


def test_a_thread_fails_the_world_that_starts_it() -> None:
    with pytest.raises(SimulationFailed, match=r"thread .* was started.*asyncio\.to_thread"):
        simulate(threaded, place, seeds=range(20))


def test_one_id_with_two_payloads_is_found_and_its_story_told() -> None:
    with pytest.raises(SimulationFailed, match="has another payload") as failed:
        simulate(told_at_once, place, seeds=range(50))

    finding = failed.value.finding
    identity = finding.violations[0].partition("id=")[2].split()[0]
    assert str(finding).count(identity) > 2


def test_the_story_of_what_was_observed_is_that_of_its_event() -> None:
    service: Service[Any] = Service("labels", store="memory://")

    @service.on(Placed)
    async def label(placed: Placed) -> None:
        observe("labelled", placed.customer)

    def never(history: Any) -> list[str]:  # noqa: ANN401 -- a history
        return [f"{entry.key} was labelled" for entry in history.observed("labelled")]

    with pytest.raises(SimulationFailed) as failed:
        simulate([service], place, seeds=range(3), invariants=[never])

    told = str(failed.value)
    assert "observed" in told
    assert "began service=labels handler=label" in told
    assert "accepted id=" in told


def test_chance_and_threads_are_left_as_they_were() -> None:
    before, start = random.getstate(), Thread.start

    Simulation(drawn, place).run(0)

    assert random.getstate() == before
    assert Thread.start is start
