"""Sessions as MQTT has them: windows, queues, connections that break, and numbers in order."""

from collections import Counter
from typing import Any

import pytest

from choreo import Event, Service
from choreo.testing.simulation import (
    CALM,
    Climate,
    Fault,
    History,
    Rates,
    Report,
    Simulation,
    Weather,
    World,
    simulate,
)
from tests.simulation import meters

SEEN = (
    "dropped",
    "ended duplicate",
    "ended dead_lettered",
    "ended parked",
    "revoked",
    "failed",
    "refused",
)
CLIMATE = Climate(transport="mqtt", kinds=(), rates=Rates(), faults=0, traps=0)


async def burst(world: World) -> None:
    """Read one meter ten times at once."""
    for number in range(1, 11):
        await world.publish(meters.MeterRead(meter="a", number=number))


def lived(**weather: Any) -> History:  # noqa: ANN401 -- the fields of Weather
    simulation = Simulation(meters.services, burst, climate=CLIMATE)
    history = simulation.run(0, Weather(transport="mqtt", **weather))
    assert simulation.judge(history) == []
    return history


@pytest.mark.timeout(60)
def test_numbered_events_end_in_order_whatever_sessions_do_to_them() -> None:
    """Non-vacuous: things were dropped, repeated, given up and waited for."""
    report = simulate(meters.services, meters.few, seeds=range(60), climate=meters.climate)

    assert [kind for kind in SEEN if not report.entries.get(kind)] == []
    assert report.findings == []


def test_numbers_put_in_order_what_the_broker_has_not() -> None:
    history = lived(rates=Rates(reordered=0.5))

    came = [entry.id for entry in history.of("accepted") if entry.topic == "meter/a/reading"]
    sent = [entry.id for entry in history.of("published")]
    done = [entry.id for entry in history.of("effect") if entry.service == "billing"]
    assert sorted(came) == sorted(sent)
    assert came != sent
    assert done == [one for one in sent if one in done]


def test_a_full_queue_drops_and_says_so() -> None:
    history = lived(queue=1, window=1)

    dropped = [entry for entry in history.of("dropped") if entry.text.endswith("is full")]
    effects = {entry.id for entry in history.of("effect") if entry.service == "billing"}
    assert dropped
    assert not effects & {entry.id for entry in dropped if entry.service == "billing"}


def test_a_lost_session_is_told_with_all_that_it_held() -> None:
    faults = (Fault(at=0.4, kind="session"), Fault(at=0.4, kind="session", target=1))
    history = lived(faults=faults, latency=0.05)

    texts = {entry.text for entry in history.of("dropped")}
    assert texts & {"its session is lost", "it has no session"}


def test_what_was_unacknowledged_on_a_lost_connection_comes_again() -> None:
    cuts = tuple(Fault(at=0.7 * number, kind="evict") for number in range(1, 5))
    history = lived(faults=cuts, latency=0.05, window=3)

    received = Counter(one.id for one in history.of("received") if one.service == "billing")
    assert max(received.values()) > 1
    assert len([entry for entry in history.of("effect") if entry.service == "billing"]) == 10


class Price(Event, topic="price/{good}", key="good", retain=True):
    good: str
    cents: int


def shelves() -> list[Service[Any]]:
    """Make a service that wants the last price of everything."""
    service: Service[Any] = Service("shelves", store="memory://")

    @service.on(Price)
    async def label(price: Price) -> None:
        """Label it."""

    return [service]


async def price(world: World) -> None:
    """Name a price, have the session lost, and wait."""
    await world.publish(Price(good="tea", cents=250))
    await world.sleep(5.0)


def test_a_new_session_is_given_the_values_that_were_kept() -> None:
    simulation = Simulation(shelves, price, climate=CLIMATE)

    history = simulation.run(0, Weather(transport="mqtt", faults=(Fault(at=2.0, kind="session"),)))

    assert len(list(history.of("received"))) == 2
    assert len(list(history.of("effect"))) == 1
    assert simulation.judge(history) == []


def test_in_calm_weather_nothing_is_handed_over_twice() -> None:
    report = Report()

    simulate(
        meters.services,
        meters.few,
        seeds=range(5),
        climate=CLIMATE,
        told=lambda told: report.entries.update(told.entries),
    )

    assert report.entries["received"] == report.entries["settled"]
    assert CALM.transport == "kafka"
