"""``pytest --choreo-lock`` in a project of somebody else."""

import json
from pathlib import Path

import pytest

from choreo.contracts.lock import Emission, ServiceLock
from choreo.testing.lock_account import Account, merged, with_emitted
from tests.locks.projects import BILLING, BILLING_TEST, Project, billing

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(name="project", scope="module")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return billing(tmp_path_factory.mktemp("locks") / "billing")


def test_the_lock_tells_what_a_service_emits_takes_and_reads(project: Project) -> None:
    locked = json.loads(project.lock.read_text())["services"]["billing"]

    (taken,), (emitted,) = locked["consumes"], locked["emits"]
    source = (project.folder / "app.py").read_text().splitlines()
    reading = taken["handlers"]["charge"]
    assert (taken["event"], taken["version"], taken["topic"]) == ("OrderPlaced", 1, "orders")
    assert (taken["key"], taken["sequence"], reading["order"]) == ("order_id", None, "handler")
    assert (emitted["event"], emitted["handlers"]) == ("Paid", ["charge"])
    assert (locked["mode"], locked["codec"]) == ("full_transitive", "json")
    assert taken["avro"]["name"] == "OrderPlaced"
    assert reading["observed"] is True
    assert list(reading["reads"]) == ["channel", "order_id", "quantity", "total"]
    for field, expected in {
        "quantity": "@billing.on(OrderPlaced, when=lambda order: order.quantity > 0)",
        "total": "if order.total > 0:",
        "channel": "print(order.channel)",
    }.items():
        (where,) = reading["reads"][field]
        file, _, line = where.partition(":")
        assert file == "app.py"
        assert source[int(line) - 1].strip() == expected


def test_the_same_tests_write_the_same_lock_to_the_byte(project: Project) -> None:
    before = project.lock.read_bytes()

    done = project.tested(BILLING_TEST, "--choreo-lock=write")

    assert "as it was" in done.stdout
    assert project.lock.read_bytes() == before


def test_a_lock_that_says_something_else_fails_the_run(project: Project) -> None:
    kept = project.lock.read_text()
    project.lock.write_text(kept.replace('"observed": true', '"observed": false'))

    differs = project.tested(BILLING_TEST, "--choreo-lock=check")

    assert differs.returncode == 1
    assert '+              "observed": true,' in differs.stdout
    project.lock.write_text(kept)


def test_lines_that_moved_are_no_difference(project: Project) -> None:
    app = project.folder / "app.py"
    kept = app.read_text()
    app.write_text("# a word\n" + kept)

    done = project.tested(BILLING_TEST, "--choreo-lock=check")

    assert done.returncode == 0, done.stdout
    assert "as committed" in done.stdout
    app.write_text(kept)


MANY_TESTS = (
    BILLING_TEST
    + """
from decimal import Decimal

import pytest

@pytest.mark.parametrize("number", range(8))
async def test_more(number: int) -> None:
    order = placed("o-2").model_copy(update={"total": Decimal(f"{number % 2}.00")})
    async with Harness(billing) as world:
        await world.publish(order)
        await world.settle()
"""
)


def test_workers_that_share_the_tests_write_the_same_lock_to_the_byte(project: Project) -> None:
    before = project.lock.read_bytes()

    done = project.tested(MANY_TESTS, "--choreo-lock=write", "-p", "xdist", "-n", "2")

    assert done.returncode == 0, done.stdout
    assert "as it was" in done.stdout
    assert project.lock.read_bytes() == before


def test_what_no_worker_saw_is_missed_in_the_lock(project: Project) -> None:
    done = project.tested("def test_no(): ...", "--choreo-lock=check", "-p", "xdist", "-n", "2")

    assert done.returncode == 1
    assert '-              "observed": true,' in done.stdout


def test_a_worker_that_dies_leaves_the_lock_alone(project: Project) -> None:
    before = project.lock.read_bytes()
    test = "import os\ndef test_it(): os._exit(1)\ndef test_other(): ..."

    done = project.tested(test, "--choreo-lock=write", "-p", "xdist", "-n", "2")

    assert done.returncode != 0
    assert "left alone" in done.stdout
    assert project.lock.read_bytes() == before


def test_a_run_that_failed_leaves_the_lock_alone(project: Project) -> None:
    before = project.lock.read_bytes()

    done = project.tested("def test_no(): assert False", "--choreo-lock=write")

    assert done.returncode == 1
    assert "left alone, for the tests did not pass" in done.stdout
    assert project.lock.read_bytes() == before


@pytest.mark.parametrize("narrowing", [("-k", "it"), ("test_app.py::test_it",), ("--lf",)])
def test_a_run_of_some_tests_is_refused(project: Project, narrowing: tuple[str, ...]) -> None:
    arguments = [] if "--lf" not in narrowing else ["-p", "cacheprovider"]

    done = project.tested(BILLING_TEST, "--choreo-lock=write", *arguments, *narrowing)

    assert done.returncode == 4
    assert "a lock tells what all tests have shown" in done.stderr


def test_a_handler_that_no_test_ran_is_told_and_may_read_everything(tmp_path: Path) -> None:
    project = Project(tmp_path / "billing", "billing")
    project.write(BILLING)

    done = project.tested("def test_nothing(): ...", "--choreo-lock=write")

    reading = json.loads(project.lock.read_text())["services"]["billing"]["consumes"][0]
    assert "no test had these handle an event: billing.charge" in done.stdout
    assert reading["handlers"]["charge"]["observed"] is False


def test_a_project_that_names_no_service_is_told_how(tmp_path: Path) -> None:
    project = Project(tmp_path / "billing", "billing")
    (project.folder / "pytest.ini").write_text("[pytest]\n")

    done = project.tested("def test_nothing(): ...", "--choreo-lock=write")

    assert done.returncode == 4
    assert "set choreo_services" in done.stderr


def test_accounts_are_one_by_what_any_of_them_tells() -> None:
    paid = Emission(event="Paid", version=1, topic="payments")
    one = Account(reads={"billing": {"charge": {"total": {"a.py:1"}}}}, emitted={"billing": [paid]})
    other = Account(reads={"billing": {"charge": {"total": {"a.py:2"}}, "note": {}}}, left_out=2)

    found = merged([one, other])

    assert found.reads == {"billing": {"charge": {"total": {"a.py:1", "a.py:2"}}, "note": {}}}
    assert (found.emitted, found.left_out) == ({"billing": [paid]}, 2)
    assert merged([other, one]) == found


def test_what_handlers_emit_goes_before_what_is_published_outside_of_them() -> None:
    inside = Emission(event="Paid", version=1, topic="payments", handlers=["charge"])
    outside = inside.model_copy(update={"handlers": []})
    more = Emission(event="Noted", version=1, topic="notes")

    lock = with_emitted(ServiceLock(emits=[inside]), [outside, more, more])

    assert lock.emits == [more, inside]
