"""Running in one process: stopped in order by a signal, at once by a second one."""

import signal
import time

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.cli.program import Commands

SHOP = "tests.cli.shop"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_stops_in_order_and_leaves_nothing_half_done(
    choreo: Commands, number: signal.Signals
) -> None:
    services = (f"{SHOP}:ticker", f"{SHOP}:payments")
    program = choreo.start("run", *services, "--json", max_hops="1000000")
    program.until(lambda: len(choreo.notes) > 200, "orders are being charged")

    program.signal(number)
    outcome = program.ended()

    assert outcome.code == ExitCode.OK
    begun = {line.split()[1] for line in choreo.notes if line.startswith("begin")}
    ended = {line.split()[1] for line in choreo.notes if line.startswith("end")}
    assert begun == ended
    assert [line["signal"] for line in program.logged("stopped")] == [number.name]


def test_all_services_of_a_process_are_told_of_their_start(choreo: Commands) -> None:
    program = choreo.start("run", f"{SHOP}:ticker", f"{SHOP}:payments", "--json")

    running = program.until_logged("service is running", 2)

    assert {line["service"] for line in running} == {"cli-ticker", "cli-payments"}


def test_a_second_signal_stops_at_once_even_a_blocked_loop(choreo: Commands) -> None:
    program = choreo.start("run", f"{SHOP}:blocking")
    program.until(lambda: choreo.notes, "the loop is blocked")

    program.signal(signal.SIGTERM)
    program.signal(signal.SIGINT)
    outcome = program.ended()

    assert outcome.code in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert "second signal" in outcome.err


def test_a_thread_that_hangs_does_not_keep_the_process(choreo: Commands) -> None:
    program = choreo.start("run", f"{SHOP}:threaded")
    program.until(lambda: choreo.notes, "the thread hangs")
    asked = time.monotonic()

    program.signal(signal.SIGTERM)
    outcome = program.ended()

    assert outcome.code == ExitCode.OK
    assert time.monotonic() - asked < 25


def test_a_signal_while_the_broker_is_being_reached_ends_the_attempts(choreo: Commands) -> None:
    program = choreo.start("run", f"{SHOP}:payments", "--json", "--broker", "kafka://127.0.0.1:1")
    program.until_logged("broker cannot be reached yet")

    program.signal(signal.SIGTERM)

    assert program.ended().code == ExitCode.OK


def test_with_json_the_description_is_the_first_line(choreo: Commands) -> None:
    program = choreo.start("run", f"{SHOP}:payments", "--json")
    program.until_logged("service is running")

    program.signal(signal.SIGTERM)
    (described,) = program.ended().objects

    assert [service["service"] for service in described["services"]] == ["cli-payments"]


def test_a_changed_source_starts_the_services_anew(choreo: Commands) -> None:
    source = choreo.folder / "app.py"
    source.write_text('from choreo import Service\nservice = Service("before")\n')
    program = choreo.start("run", "app:service", "--reload", "--json")
    program.until_logged("service is running")

    source.write_text('from choreo import Service\nservice = Service("after")\n')
    program.until_logged("service is running", 2)
    program.signal(signal.SIGTERM)
    outcome = program.ended()

    assert outcome.code == ExitCode.OK
    running = [line["service"] for line in program.logged("service is running")]
    assert running == ["before", "after"]
    assert len(program.logged("stopped")) == 2


def test_a_source_that_cannot_be_imported_waits_for_its_mending(choreo: Commands) -> None:
    source = choreo.folder / "app.py"
    source.write_text("1 / 0\n")
    program = choreo.start("run", "app:service", "--reload", "--json")
    program.until_logged("the services ended, waiting for a change")

    source.write_text('from choreo import Service\nservice = Service("mended")\n')
    program.until_logged("service is running")
    program.signal(signal.SIGTERM)

    assert program.ended().code == ExitCode.OK


def test_when_the_supervisor_is_killed_its_children_stop_in_order(choreo: Commands) -> None:
    (choreo.folder / "app.py").write_text(
        'from choreo import Service\nservice = Service("orphan")\n'
    )
    program = choreo.start("run", "app:service", "--reload", "--json")
    program.until_logged("service is running")

    program.signal(signal.SIGKILL)
    program.ended()

    program.until_logged("stopped")


def test_what_the_environment_asks_for_is_exported_before_the_end(choreo: Commands) -> None:
    choreo.variables = {"OTEL_TRACES_EXPORTER": "console"}
    services = (f"{SHOP}:ticker", f"{SHOP}:payments")
    program = choreo.start("run", *services, max_hops="1000000")
    program.until(lambda: len(choreo.notes) > 20, "orders are being charged")

    program.signal(signal.SIGTERM)
    outcome = program.ended()

    assert outcome.code == ExitCode.OK
    assert '"service.name": "cli-ticker+cli-payments"' in outcome.out
    assert "process cli-orders" in outcome.out
