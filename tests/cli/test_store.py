"""The tables of a store are made, checked and migrated from the command line."""

import sqlite3

from choreo.cli.exit_codes import ExitCode
from tests.cli.program import Commands

STORE = "sqlite:///books.db"


def test_tables_are_made_once_and_found_to_fit(choreo: Commands) -> None:
    before = choreo.run("store", "check", "--store", STORE, "--json")
    made = choreo.run("store", "init", "--store", STORE, "--json")
    again = choreo.run("store", "init", "--store", STORE)
    after = choreo.run("store", "check", "--store", STORE)
    upgraded = choreo.run("store", "upgrade", "--store", STORE)

    assert before.code == ExitCode.CONFIGURATION
    assert before.objects[0]["tables"]["found"] is None
    assert (made.code, made.objects[0]["tables"]["current"]) == (ExitCode.OK, True)
    assert [each.code for each in (again, after, upgraded)] == [ExitCode.OK] * 3
    assert after.out == "sqlite:///books.db  version 2\n"


def test_tables_of_a_newer_version_are_left_alone(choreo: Commands) -> None:
    choreo.run("store", "init", "--store", STORE)
    with sqlite3.connect(choreo.folder / "books.db") as database:
        database.execute("UPDATE choreo_schema SET version = 9")
    database.close()

    for task in ("check", "init", "upgrade"):
        outcome = choreo.run("store", task, "--store", STORE)

        assert outcome.code == ExitCode.CONFIGURATION
        assert "upgrade choreo" in outcome.err


def test_a_database_that_is_away_is_told_in_one_line_without_its_password(
    choreo: Commands,
) -> None:
    outcome = choreo.run("store", "check", "--store", "postgresql://user:hunter2@127.0.0.1:1/x")

    assert outcome.code == ExitCode.UNREACHABLE
    assert len(outcome.err.splitlines()) == 1
    assert "hunter2" not in outcome.err


def test_a_store_without_tables_needs_nothing(choreo: Commands) -> None:
    assert choreo.run("store", "init", "--store", "memory://").code == ExitCode.OK


def test_without_a_store_there_is_nothing_to_look_after(choreo: Commands) -> None:
    outcome = choreo.run("store", "check")

    assert outcome.code == ExitCode.CONFIGURATION
    assert "CHOREO_STORE" in outcome.err
