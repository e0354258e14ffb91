"""A registry on this machine, and contracts brought into one, from the command line."""

import base64
import json
import signal
from collections.abc import Callable

from choreo.cli.exit_codes import ExitCode
from choreo.registry.local import LocalRegistry
from tests.cli.program import Commands
from tests.local import KafkaPart

PAYMENTS = "tests.cli.shop:payments"
ORDER = "tests.cli.shop:OrderPlaced"
PAID = "tests.cli.shop:PaymentTaken"


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


def test_what_is_published_and_edited_by_hand_bears_the_registrys_id(
    choreo: Commands, real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """A letter whose payload only the registry can read is shown, and corrected, as its class."""
    choreo.stem = fresh_name("framed")
    real_kafka.create_topic(f"{choreo.stem}-orders", partitions=1)
    with LocalRegistry() as registry:
        choreo.settings = {
            "broker": real_kafka.url,
            "create_topics": "true",
            "codec": "avro",
            "registry": registry.url,
        }
        choreo.run("contracts", "export", ORDER, PAID)
        choreo.run("registry", "register", ORDER, PAID)
        program = choreo.start("run", PAYMENTS, "--json")
        program.until_logged("service is running")
        dlq = ("-s", f"{choreo.stem}-payments", "--json")
        edit = ("--target", PAYMENTS, "--yes", "--data", "-")

        published = choreo.run("publish", ORDER, '{"order_id": "o", "total": -1}')
        program.until_logged("event went to the dead letters")
        (first,) = choreo.run("dlq", "show", *dlq).objects
        edited = choreo.run(
            *("dlq", "edit", first["letter"]["id"], *dlq, *edit),
            stdin='{"order_id": "o", "total": -2}',
        )
        program.until_logged("event went to the dead letters", 2)
        (second,) = choreo.run("dlq", "show", *dlq).objects

        identity = registry.shelf.by_version(f"{choreo.stem}-orders-OrderPlaced", None).id
    assert (published.code, edited.code) == (ExitCode.OK, ExitCode.OK), edited.err
    bodies = [base64.b64decode(one["message"]["data"]) for one in (first, second)]
    assert [body[:5] for body in bodies] == [b"\x00" + identity.to_bytes(4, "big")] * 2
    assert bodies[0] != bodies[1]
