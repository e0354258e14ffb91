"""A registry on this machine, and contracts brought into one, from the command line."""

import json
import signal

from choreo.cli.exit_codes import ExitCode
from tests.cli.program import Commands

ORDER = "tests.cli.shop:OrderPlaced"


def test_contracts_are_registered_in_a_registry_that_is_served_here(choreo: Commands) -> None:
    program = choreo.start("registry", "serve", "--port", "0", "--database", "ids.db", "--json")
    program.until(lambda: program.out, "the registry tells where it is")
    url = json.loads(program.out)["registry"]
    choreo.run("contracts", "export", ORDER)

    first = choreo.run("registry", "register", ORDER, "--registry", url, "--json")
    again = choreo.run("registry", "register", ORDER, registry=url)

    assert (first.code, again.code) == (ExitCode.OK, ExitCode.OK), first.err + again.err
    (told,) = first.objects
    assert told["id"] == 1
    kept = json.loads((choreo.folder / "schemas" / "registry.json").read_text())
    assert list(kept[url].values()) == [1]
    program.signal(signal.SIGTERM)
    assert program.ended().code == ExitCode.OK


def test_a_registry_that_is_away_is_told_in_one_line(choreo: Commands) -> None:
    choreo.run("contracts", "export", ORDER)
    outcome = choreo.run(
        "registry", "register", ORDER, "--registry", "http://ann:hunter2@127.0.0.1:1"
    )

    assert outcome.code == ExitCode.UNREACHABLE
    assert len(outcome.err.splitlines()) == 1
    assert "hunter2" not in outcome.err


def test_without_a_registry_it_says_what_to_give(choreo: Commands) -> None:
    outcome = choreo.run("registry", "register", ORDER)

    assert outcome.code == ExitCode.CONFIGURATION
    assert "CHOREO_REGISTRY" in outcome.err


def test_a_port_that_is_taken_is_told(choreo: Commands) -> None:
    program = choreo.start("registry", "serve", "--port", "0", "--json")
    program.until(lambda: program.out, "the registry tells where it is")
    port = json.loads(program.out)["registry"].rpartition(":")[2]

    outcome = choreo.run("registry", "serve", "--port", port)

    assert outcome.code == ExitCode.CONFIGURATION
    assert "can listen" in outcome.err
    program.signal(signal.SIGINT)
    assert program.ended().code == ExitCode.OK
