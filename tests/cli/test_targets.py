"""What cannot be run is refused at once, in one line, with a code of its own."""

import re
import signal
import subprocess
import sys

import pytest

from choreo.cli.exit_codes import ExitCode
from choreo.cli.workers import deaths_in_a_row
from tests.cli.program import Commands

SHOP = "tests.cli.shop"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("shop", "write module:attribute"),
        ("shop.nowhere:service", "no module 'shop.nowhere'"),
        (f"{SHOP}:paymens", "did you mean payments?"),
        (f"{SHOP}:OrderPlaced", "neither a Service nor a function"),
        (f"{SHOP}:broken", "RuntimeError: no luck today"),
        ("faulty:service", "module faulty cannot be imported: ZeroDivisionError"),
        ("script:service", "module script cannot be imported: it ends the process: SystemExit: 0"),
        ("needy:service", "No module named 'not_there_at_all'"),
    ],
)
def test_a_target_that_is_no_service_is_refused_with_the_reason(
    choreo: Commands, target: str, says: str
) -> None:
    (choreo.folder / "faulty.py").write_text("1 / 0\n")
    (choreo.folder / "script.py").write_text("import sys\nsys.exit(0)\n")
    (choreo.folder / "needy.py").write_text("import not_there_at_all\n")

    outcome = choreo.run("run", target)

    assert outcome.code == ExitCode.CONFIGURATION
    assert says in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_debug_shows_where_it_went_wrong(choreo: Commands) -> None:
    (choreo.folder / "faulty.py").write_text("1 / 0\n")

    outcome = choreo.run("run", "faulty:service", "--debug")

    assert outcome.code == ExitCode.CONFIGURATION
    assert "Traceback" in outcome.err
    assert 'faulty.py", line 1' in outcome.err


def test_one_service_cannot_be_run_twice_in_a_process(choreo: Commands) -> None:
    outcome = choreo.run("run", f"{SHOP}:payments", f"{SHOP}:twin")

    assert outcome.code == ExitCode.CONFIGURATION
    assert f"{SHOP}:payments and {SHOP}:twin are both the service" in outcome.err


def test_an_unknown_scheme_is_a_matter_of_configuration(choreo: Commands) -> None:
    outcome = choreo.run("run", f"{SHOP}:payments", "--broker", "pigeon://post", "--json")

    assert outcome.code == ExitCode.CONFIGURATION
    assert outcome.error["kind"] == "ConfigurationError"
    assert outcome.error["exit_code"] == ExitCode.CONFIGURATION
    assert "pigeon://" in outcome.error["message"]


def test_a_wrong_setting_is_named(choreo: Commands) -> None:
    outcome = choreo.run("run", f"{SHOP}:payments", concurrency="many")

    assert outcome.code == ExitCode.CONFIGURATION
    assert "concurrency" in outcome.err


@pytest.mark.parametrize("url", ["kafka://127.0.0.1:1", "mqtt://127.0.0.1:1"])
def test_a_broker_that_is_not_there_has_a_code_of_its_own(choreo: Commands, url: str) -> None:
    outcome = choreo.run(
        "run", f"{SHOP}:payments", "--broker", url, "--json", start_timeout="PT0.5S"
    )

    assert outcome.code == ExitCode.UNREACHABLE
    assert outcome.error["kind"] == "ConnectionLost"


def test_workers_without_a_broker_are_started_again_ever_more_slowly(choreo: Commands) -> None:
    url = "kafka://127.0.0.1:1"
    program = choreo.start(
        *("run", f"{SHOP}:payments", "--broker", url, "--workers", "2", "--json"),
        start_timeout="PT0.3S",
    )
    line = "worker cannot reach its broker or store, starting another"
    program.until_logged(line, 4)
    program.signal(signal.SIGTERM)
    outcome = program.ended()

    delays = [entry["delay"] for entry in program.logged(line) if entry["worker"] == 1]
    assert delays[1] > 1.5 * delays[0]
    assert outcome.code in {ExitCode.OK, ExitCode.UNREACHABLE}


def test_a_worker_that_waited_long_for_its_broker_was_not_healthy() -> None:
    assert deaths_in_a_row(3, ExitCode.UNREACHABLE, lived=3_600) == 4
    assert deaths_in_a_row(3, ExitCode.FAILED, lived=3_600) == 1
    assert deaths_in_a_row(3, ExitCode.FAILED, lived=1) == 4


def test_a_service_that_fails_at_start_ends_the_process_with_its_reason(choreo: Commands) -> None:
    outcome = choreo.run("run", f"{SHOP}:unlucky", f"{SHOP}:payments", "--json")

    assert outcome.code == ExitCode.FAILED
    assert outcome.error["kind"] == "RuntimeError"
    assert "no luck today" in outcome.error["message"]


@pytest.mark.parametrize("arguments", [("run",), ("run", "--bogus"), ("fly",), ()])
def test_a_wrong_command_line_is_a_matter_of_usage(
    choreo: Commands, arguments: tuple[str, ...]
) -> None:
    assert choreo.run(*arguments).code == ExitCode.USAGE


def test_usage_is_told_as_an_object_too(choreo: Commands) -> None:
    outcome = choreo.run("services", "--json", "--bogus")

    assert outcome.error == {
        "kind": "UsageError",
        "message": "No such option: --bogus",
        "exit_code": ExitCode.USAGE,
    }


def test_a_service_is_described_without_being_run(choreo: Commands) -> None:
    outcome = choreo.run("services", f"{SHOP}:payments", f"{SHOP}:made", "--json")

    assert outcome.code == ExitCode.OK
    (described,) = outcome.objects
    payments, made = described["services"]
    (charge,) = payments["handlers"]
    assert payments["service"] == "cli-payments"
    assert payments["broker"] == "memory://"
    assert made["handlers"] == []
    assert charge["handler"] == "charge"
    assert charge["type"] == "OrderPlaced.v1"
    assert charge["topic"] == "cli-orders"
    assert charge["emits"] == ["PaymentTaken.v1"]
    assert charge["retry"]["attempts"] == 2
    assert charge["guarantee"] == (
        "at least once while the process lives, per key order_id; "
        "duplicates suppressed while the process lives"
    )


def test_the_table_names_each_handler_with_its_guarantee(choreo: Commands) -> None:
    outcome = choreo.run("services", f"{SHOP}:payments", "--broker", "kafka://user:pw@h:9092")

    assert outcome.code == ExitCode.OK
    for words in ("cli-payments on kafka://", "charge", "OrderPlaced.v1", "at least once, per key"):
        assert words in outcome.out
    assert "pw" not in outcome.out


def test_no_credential_of_a_url_is_shown(choreo: Commands) -> None:
    outcome = choreo.run(
        "services", f"{SHOP}:payments", "--json", "--broker", "mqtt://ann:hush-hush@localhost"
    )

    assert "hush-hush" not in outcome.out + outcome.err


def test_workers_are_refused_where_they_could_not_share(choreo: Commands) -> None:
    memory = choreo.run("run", f"{SHOP}:payments", "--workers", "2")
    mqtt = choreo.run("run", f"{SHOP}:payments", "--workers", "2", "--broker", "mqtt://localhost")

    assert memory.code == mqtt.code == ExitCode.CONFIGURATION
    assert "lives inside one process" in memory.err
    assert "no consumer groups" in mqtt.err


def test_help_is_there_at_once(choreo: Commands) -> None:
    outcome = choreo.run("--help")

    assert outcome.code == ExitCode.OK
    for command in ("run", "services", "publish", "tail", "dlq"):
        assert command in outcome.out


def test_help_needs_nothing_of_what_the_commands_need() -> None:
    heavy = ("aiokafka", "fastavro", "opentelemetry.sdk", "paho", "rich", "watchfiles")
    code = f"import choreo.cli.application, sys; print(*set({heavy}) & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout.strip() == ""


@pytest.mark.parametrize("command", ["publish", "tail", "dlq"])
def test_a_broker_inside_another_process_is_out_of_reach(choreo: Commands, command: str) -> None:
    arguments = {
        "publish": ("publish", f"{SHOP}:OrderPlaced", '{"order_id": "1"}'),
        "tail": ("tail", "cli-orders", "--no-follow"),
        "dlq": ("dlq", "list", "--service", "cli-payments"),
    }[command]

    outcome = choreo.run(*arguments)

    assert outcome.code == ExitCode.CONFIGURATION
    assert "lives inside the process" in outcome.err


@pytest.mark.parametrize("group", [(), ("dlq",), ("contracts",), ("outbox",), ("store",)])
def test_help_tells_each_command_in_a_whole_sentence(
    choreo: Commands, group: tuple[str, ...]
) -> None:
    choreo.variables = {"COLUMNS": "80"}

    told = choreo.run(*group, "--help").out.partition("Commands:")[2]
    sentences = re.findall(r"^  [a-z-]+ .*(?:\n {4,}.*)*", told, re.MULTILINE)

    assert len(sentences) > 2
    assert [one for one in sentences if not one.endswith(".")] == []
    assert "..." not in told
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize("command", [("dlq", "list"), ("outbox", "list"), ("parked", "list")])
def test_what_no_service_can_be_called_is_refused_and_not_found_empty(
    choreo: Commands, command: tuple[str, ...]
) -> None:
    outcome = choreo.run(*command, "-s", "pay ments")

    assert outcome.code == ExitCode.USAGE
    assert "service name 'pay ments': use letters" in outcome.err


def test_a_place_whose_name_is_too_long_is_told_like_any_other(choreo: Commands) -> None:
    place = f"{'x' * 300}/below"

    outcome = choreo.run("asyncapi", f"{SHOP}:payments", "--output", place, "--json")

    assert outcome.code == ExitCode.CONFIGURATION
    assert "cannot be written: File name too long" in outcome.error["message"]


@pytest.mark.parametrize(
    "command",
    [
        ("tail", "orders", "--no-follow", "--broker", "memory://", "--record"),
        ("contracts", "export", f"{SHOP}:OrderPlaced", "--schemas"),
        ("asyncapi", f"{SHOP}:payments", "--output"),
        ("catalogue", "build", f"{SHOP}:payments", "--output"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_told_with_its_name(
    choreo: Commands, command: tuple[str, ...]
) -> None:
    (choreo.folder / "taken").touch()

    outcome = choreo.run(*command, "taken/below", "--json")

    assert outcome.code == ExitCode.CONFIGURATION
    assert outcome.error["kind"] == "ConfigurationError"
    assert outcome.error["message"].startswith("taken/below")
    assert "cannot be written: taken is no folder" in outcome.error["message"]


def test_a_shell_can_complete_commands(choreo: Commands) -> None:
    choreo.variables = {
        "_CHOREO_COMPLETE": "complete_bash",
        "COMP_WORDS": "choreo pub",
        "COMP_CWORD": "1",
    }

    assert choreo.run().out.split() == ["publish"]
