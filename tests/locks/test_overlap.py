"""Old and new processes of one service side by side, while it is replaced."""

from pathlib import Path

import pytest
from pydantic import JsonValue

from choreo.cli.exit_codes import ExitCode
from choreo.contracts.clash import Odds
from choreo.contracts.clash_remedy import clash_remedy
from choreo.contracts.deployment import can_deploy
from choreo.contracts.lock import ServiceLock
from choreo.contracts.resolution import Kind
from tests.cli.program import Commands
from tests.locks.test_commands import lock
from tests.locks.test_deployment import ID, NEWER, NOTE, TOTAL, takes, writes


def ticker(writing: ServiceLock, taking: ServiceLock) -> ServiceLock:
    """Make a service that takes what it emits."""
    return writing.model_copy(update={"consumes": taking.consumes})


OLD = ticker(writes(), takes())
NEW = ticker(writes(version=2), takes(version=2, upcasts=[1]))


def test_a_new_process_must_not_send_what_an_old_one_of_its_service_cannot_take() -> None:
    found = can_deploy({"ticker": NEW}, {"ticker": OLD})

    (overlap,) = found.overlaps
    assert not found.safe
    assert found.refused == ()
    assert (overlap.clash.kind, overlap.clash.version, overlap.clash.reads) == (Odds.VERSION, 2, 1)
    assert overlap.new_writes
    assert "give ticker a handler of v2, and deploy it first" in clash_remedy(overlap.clash)


def test_nor_an_old_one_what_a_new_one_cannot() -> None:
    new = ticker(writes(ID, TOTAL, NOTE, version=2), takes(ID, TOTAL, NOTE, version=2))
    old = ticker(writes(), takes(**NEWER))

    found = can_deploy({"ticker": new}, {"ticker": old})

    assert [(one.clash.kind, one.clash.version, one.new_writes) for one in found.overlaps] == [
        (Odds.VERSION, 1, False)
    ]


def test_a_field_changed_under_one_version_is_told_both_ways() -> None:
    text: JsonValue = {"name": "total", "type": "string"}
    new = ticker(writes(ID, text), takes(ID, text))

    found = can_deploy({"ticker": new}, {"ticker": OLD})

    assert [(one.clash.kind, one.clash.at, one.new_writes) for one in found.overlaps] == [
        (Kind.TYPE, "total", True),
        (Kind.TYPE, "total", False),
    ]


def test_old_processes_that_have_ended_first_meet_no_new_ones() -> None:
    assert can_deploy({"ticker": NEW}, {"ticker": OLD}, side_by_side=False).safe


def test_two_steps_are_safe_one_by_one() -> None:
    """First a version that takes both, then one that writes the new one."""
    between = ticker(writes(), takes(version=2, upcasts=[1]))

    assert can_deploy({"ticker": between}, {"ticker": OLD}).safe
    assert can_deploy({"ticker": NEW}, {"ticker": between}).safe


def test_what_was_at_odds_within_it_before_forbids_nothing() -> None:
    odd = ticker(writes(version=3), takes())

    assert can_deploy({"ticker": odd}, {"ticker": odd}).safe


def test_a_service_that_takes_none_of_its_own_has_nothing_to_tell() -> None:
    running = {"orders": writes(), "billing": takes()}

    assert can_deploy({"orders": writes()}, running).overlaps == ()


@pytest.mark.timeout(60)
def test_the_command_tells_it_and_takes_a_word_for_it(tmp_path: Path) -> None:
    choreo = Commands(tmp_path)
    running = lock(tmp_path / "running.lock", ticker=OLD)
    new = lock(tmp_path / "choreo.lock", ticker=NEW)
    asked = ("contracts", "can-deploy", new, "--deployed", running)

    refused, told = choreo.run(*asked), choreo.run(*asked, "--json")
    stopped = choreo.run(*asked, "--stopped")

    assert (refused.code, stopped.code) == (ExitCode.CONFIGURATION, ExitCode.OK)
    assert refused.out.splitlines()[:2] == [
        "rolling    Placed v2: ticker, new to old",
        "    the whole (version): was v1, now v2",
    ]
    assert "stop its old processes first, and say --stopped" in refused.err
    assert (told.objects[0]["state"], told.objects[0]["ways"]) == ("rolling", "new to old")
    assert told.objects[-1]["deploy"] is False
