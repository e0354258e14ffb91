"""``choreo simulate`` finds what is wrong, says so by its exit code, and shows how it came."""

import re

from choreo.cli.exit_codes import ExitCode
from tests.cli.program import Commands

SHOP = """
from choreo import Event, Service
from choreo.testing.simulation import observe

class Placed(Event, topic="orders", key="order"):
    order: str

def services():
    service = Service("payments", store="memory://")

    @service.on(Placed)
    async def charge(placed: Placed) -> None:
        observe("charged", placed.order)

    return [service]

async def shopping(world):
    for number in range(4):
        await world.publish(Placed(order=str(number)))
        await world.sleep(world.random.random())
"""
ONCE = """
def once(history):
    keys = [entry.key for entry in history.observed("charged")]
    assert len(keys) == len(set(keys)), "somebody was charged twice"

invariants = [once]
"""


def test_a_seed_that_shows_nothing_says_so(choreo: Commands) -> None:
    (choreo.folder / "shop.py").write_text(SHOP)

    outcome = choreo.run("simulate", "shop:shopping", "--seeds", "3")

    assert outcome.code == ExitCode.OK
    assert outcome.out.startswith("3 seeds, 0 failed")
    assert "seeds/s" in outcome.out


def test_what_a_seed_shows_is_shrunk_and_told_and_fails_the_command(choreo: Commands) -> None:
    (choreo.folder / "shop.py").write_text(SHOP + ONCE)

    outcome = choreo.run("simulate", "shop:shopping", "--seeds", "100", "--jobs", "1", "--json")
    (found,) = outcome.objects
    again = choreo.run("simulate", "shop:shopping", "--seed", str(found["seed"]), "--trace")

    assert outcome.code == again.code == ExitCode.FAILED
    assert found["violations"][0] == "once: somebody was charged twice"
    assert f"seed {found['seed']}: once: somebody was charged twice" in again.out
    assert re.search(r"observed id=\S+ key=0 charged", again.out) is not None


def test_what_failed_once_is_kept_and_runs_first(choreo: Commands) -> None:
    (choreo.folder / "shop.py").write_text(SHOP + ONCE)
    arguments = ("simulate", "shop:shopping", "--corpus", "corpus.jsonl", "--jobs", "1", "--json")

    (found,) = choreo.run(*arguments, "--seeds", "100").objects
    (again,) = choreo.run(*arguments, "--seeds", "1", "--first", "100000").objects

    assert again == {**found, "tries": again["tries"]}
    assert (choreo.folder / "corpus.jsonl").read_text().count("\n") == 1


def test_a_trace_is_of_one_seed(choreo: Commands) -> None:
    outcome = choreo.run("simulate", "shop:shopping", "--trace")

    assert outcome.code == ExitCode.USAGE
    assert "--seed" in outcome.err
