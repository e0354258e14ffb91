"""A consumer group in a simulated broker believes what a Kafka's does."""

from choreo.testing.simulation import CALM, Simulation, Weather, World
from choreo.testing.simulation.group import NOBODY
from tests.simulation import absences
from tests.simulation.shop import OrderPlaced


def test_who_names_no_membership_is_heard_only_while_the_group_has_no_member_k10() -> None:
    heard: list[bool] = []

    async def commit_from_outside(world: World) -> None:
        await world.publish(OrderPlaced(customer="anna", number=1))
        await world.sleep(5.0)
        group = world._ground.cluster.group("slow")
        (member,) = group.members
        places = {"orders-0": (0, "")}
        heard.append(await group.commit(member, NOBODY, places))
        group.disband(5.0)
        heard.append(await group.commit(member, 1, places))
        heard.append(await group.commit(member, NOBODY, places))

    simulation = Simulation(absences.services, commit_from_outside, climate=CALM)

    history = simulation.run(1, Weather())

    assert heard == [False, False, True]
    assert simulation.judge(history) == ["judged: commit slow-1@1 committed orders-0 back to 0"]


def test_a_group_that_was_given_up_comes_together_again() -> None:
    simulation = Simulation(absences.services, absences.few, climate=absences.climate)

    history = simulation.run(0)

    empty = [entry for entry in history.of("fault") if entry.text.startswith("no group has")]
    assert len(empty) == 8
    assert simulation.judge(history) == []
