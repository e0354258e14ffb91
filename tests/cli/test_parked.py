"""What waits in the store is shown, let go on and dropped; who halts, ends."""

import signal
from typing import Any

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.cli.program import Commands

DEPOT = "tests.cli.depot"
ASKED = ("--service", "cli-depot")


@pytest.fixture
def parked(choreo: Commands) -> Commands:
    """Return commands on a store in which a failed key and a gap wait."""
    choreo.settings["store"] = f"sqlite:///{choreo.folder}/books.db"
    program = choreo.start("run", f"{DEPOT}:depot", "--json")
    program.until_logged("service is running")
    program.until(lambda: sum(line["events"] for line in lines(choreo)) == 5, "all wait")
    program.signal(signal.SIGTERM)
    assert program.ended().code == ExitCode.OK
    return choreo


def lines(choreo: Commands) -> list[Any]:
    """List what waits, once the store knows of the service."""
    outcome = choreo.run("parked", "list", *ASKED, "--json")
    return outcome.objects if outcome.code == ExitCode.OK else []


def line_of(choreo: Commands, behind: str) -> str:
    """Find the line behind a failure or a gap."""
    (found,) = [line["line"] for line in lines(choreo) if line["behind"] == behind]
    name: str = found
    return name


def mended(choreo: Commands, notes: int) -> list[str]:
    """Run it again, mended, until there are so many notes."""
    choreo.variables["CLI_MENDED"] = "1"
    program = choreo.start("run", f"{DEPOT}:depot", "--json")
    program.until(lambda: len(choreo.notes) >= notes, f"{notes} notes")
    program.signal(signal.SIGTERM)
    program.ended()
    return choreo.notes


def test_what_waits_is_shown_with_what_it_waits_for(parked: Commands) -> None:
    failure, gap = sorted(lines(parked), key=lambda line: str(line["behind"]))
    table = parked.run("parked", "list", *ASKED)

    assert {name: failure[name] for name in ("handler", "key", "events", "state", "due")} == {
        "handler": "drive", "key": "red", "events": 3, "state": "held", "due": None,
    }  # fmt: skip
    assert "flat tyre" in failure["note"]
    assert (gap["handler"], gap["events"], gap["state"]) == ("record", 2, "held")
    assert "waits for 1 to 2 of stream 'blue'" in gap["note"]
    assert table.code == ExitCode.OK
    assert failure["line"][:8] in table.out


def test_a_line_is_let_go_on_by_how_its_name_begins(parked: Commands) -> None:
    outcome = parked.run("parked", "retry", line_of(parked, "gap")[:8], *ASKED, "--json")

    assert outcome.objects == [{"service": "cli-depot", "retried": 1}]
    notes = mended(parked, 5)
    assert [note for note in notes if "weighed" in note] == ["weighed blue 3", "weighed blue 4"]
    assert [note for note in notes if "drove" in note] == [f"drove red {n}" for n in (1, 2, 3)]
    assert lines(parked) == []


def test_the_first_of_a_line_is_dropped_or_all_of_it(parked: Commands) -> None:
    failure, gap = line_of(parked, "failure"), line_of(parked, "gap")

    unasked = parked.run("parked", "drop", failure, *ASKED)
    first = parked.run("parked", "drop", failure, *ASKED, "--yes", "--json")
    whole = parked.run("parked", "drop", gap, *ASKED, "--whole", "--yes")

    assert unasked.code == ExitCode.USAGE
    assert first.objects == [{"service": "cli-depot", "dropped": 1}]
    assert whole.out == "2 events dropped\n"
    assert mended(parked, 2) == ["drove red 2", "drove red 3"]


def test_what_is_not_there_and_who_never_ran_are_told(parked: Commands) -> None:
    missing = parked.run("parked", "retry", "ffffffffffff", *ASKED, "--json")
    nobody = parked.run("parked", "list", "--service", "nobody")
    nowhere = parked.run("parked", "list", *ASKED, "--store", "memory://")
    unnamed = parked.run("parked", "retry", *ASKED)

    assert (missing.code, missing.error["kind"]) == (ExitCode.NOT_FOUND, "NothingFound")
    assert (nobody.code, nowhere.code) == (ExitCode.CONFIGURATION, ExitCode.CONFIGURATION)
    assert unnamed.code == ExitCode.USAGE


def test_a_handler_that_halts_ends_the_process_with_a_code_of_its_own(choreo: Commands) -> None:
    outcome = choreo.start("run", f"{DEPOT}:halting", "--json").ended()

    assert outcome.code == ExitCode.HALTED
    assert choreo.notes == ["drove red 1"]
    assert outcome.error["kind"] == "HandlerHalted"
    assert "not past this one" in outcome.error["message"]
