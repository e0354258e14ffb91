"""Contracts are written once, and held to their classes ever after."""

from collections.abc import Callable
from pathlib import Path

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.cli.program import Commands, Outcome
from tests.local import MqttPart

SHOP = """
from choreo import Event, Service

class Placed(Event, topic="orders", key="order"{more}):
    {doc}
    order: str
    total: {total} = 0

class Paid(Event, topic="payments", key="order"):
    order: str

class Mixed(Event, topic="odd"):
    what: object

billing = Service("billing")

@billing.on(Placed)
async def charge(order: Placed) -> Paid:
    return Paid(order=order.order)

silent = Service("silent")

@silent.on(Paid)
async def note(paid: Paid) -> None: ...
"""
Write = Callable[..., None]


@pytest.fixture(name="write")
def _write(choreo: Commands) -> Write:
    """Return what writes the shop's module."""

    def write(total: str = "int", more: str = "", doc: str = "") -> None:
        said = f'"""{doc}"""' if doc else ""
        text = SHOP.format(total=total, more=more, doc=said)
        (choreo.folder / "shop.py").write_text(text)
        # A module of the same size and second would be taken from the cache.
        for cached in choreo.folder.rglob("*.pyc"):
            cached.unlink()

    write()
    return write


def states(outcome: Outcome) -> list[tuple[str, str]]:
    return [(each["path"], each["state"]) for each in outcome.objects]


PLACED = "schemas/orders/Placed/1.avsc"
PAID = "schemas/payments/Paid/1.avsc"


def test_contracts_are_written_where_services_look_for_them(choreo: Commands, write: Write) -> None:
    outcome = choreo.run("contracts", "export", "shop:billing", "shop:Placed", "--json")
    again = choreo.run("contracts", "export", "shop:billing", "shop:Placed", "--json")
    checked = choreo.run("contracts", "check", "shop:billing", "shop:Placed", "--json")

    assert (outcome.code, again.code, checked.code) == (0, 0, 0)
    assert states(outcome) == [(PAID, "written"), (PLACED, "written")]
    assert states(again) == states(checked) == [(PAID, "same"), (PLACED, "same")]
    assert (choreo.folder / PLACED).is_file()
    assert outcome.objects[1] == {
        "event": "shop:Placed",
        "type": "Placed.v1",
        "path": PLACED,
        "state": "written",
        "differences": [],
        "problem": None,
        "command": None,
    }


def test_a_committed_contract_is_not_replaced_by_another_without_force(
    choreo: Commands, write: Write
) -> None:
    choreo.run("contracts", "export", "shop:Placed")
    before = (choreo.folder / PLACED).read_text()
    write(total="float")

    refused = choreo.run("contracts", "export", "shop:Placed", "shop:Paid")
    kept = (choreo.folder / PLACED).read_text()
    other = (choreo.folder / PAID).exists()
    forced = choreo.run("contracts", "export", "shop:Placed", "--force", "--json")

    assert refused.code == ExitCode.CONFIGURATION
    assert "    /fields/total/type: 'long' in the file, 'double' in the class\n" in refused.out
    assert "raise the event's version" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert (kept, other) == (before, False)
    assert states(forced) == [(PLACED, "written")]
    assert '"double"' in (choreo.folder / PLACED).read_text()


def test_a_new_version_stands_beside_the_old_one(choreo: Commands, write: Write) -> None:
    choreo.run("contracts", "export", "shop:Placed")
    write(total="float", more=", version=2")

    outcome = choreo.run("contracts", "export", "shop:Placed", "--json")

    assert states(outcome) == [("schemas/orders/Placed/2.avsc", "written")]
    assert (choreo.folder / PLACED).is_file()


def test_check_fails_for_what_is_missing_and_what_differs_and_changes_nothing(
    choreo: Commands, write: Write
) -> None:
    choreo.run("contracts", "export", "shop:Placed")
    write(total="float")

    outcome = choreo.run("contracts", "check", "shop:Placed", "shop:billing", "--json")

    assert outcome.code == ExitCode.CONFIGURATION
    assert states(outcome) == [(PLACED, "different"), (PAID, "missing")]
    assert outcome.objects[0]["differences"] == [
        {"at": "/fields/total/type", "committed": "long", "derived": "double"},
    ]
    assert outcome.error["kind"] == "ConfigurationError"
    assert "2 contracts do not hold" in outcome.error["message"]
    assert not (choreo.folder / PAID).exists()


def test_other_words_for_people_need_no_version(choreo: Commands, write: Write) -> None:
    choreo.run("contracts", "export", "shop:Placed")
    write(doc="Somebody wants something.")

    checked = choreo.run("contracts", "check", "shop:Placed", "--json")
    exported = choreo.run("contracts", "export", "shop:Placed", "--json")

    assert (checked.code, states(checked)) == (0, [(PLACED, "reworded")])
    (told,) = checked.objects
    (changed,) = told["differences"]
    assert (changed["at"], changed["derived"]) == ("/doc", "Somebody wants something.")
    assert told["command"] == "choreo contracts export shop:Placed"
    assert (exported.code, states(exported)) == (0, [(PLACED, "written")])
    assert "Somebody wants something." in (choreo.folder / PLACED).read_text()


def test_a_file_that_is_no_schema_is_named_and_kept(choreo: Commands, write: Write) -> None:
    choreo.run("contracts", "export", "shop:Placed")
    (choreo.folder / PLACED).write_text("<<<<<<< ours")

    for command in ("check", "export"):
        outcome = choreo.run("contracts", command, "shop:Placed", "--json")

        assert outcome.code == ExitCode.CONFIGURATION
        assert states(outcome) == [(PLACED, "unreadable")]
        assert "cannot be read" in outcome.objects[0]["problem"]
    assert (choreo.folder / PLACED).read_text() == "<<<<<<< ours"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("shop:silent", "emit no events"),
        ("shop:Mixed", "Avro cannot say this"),
        ("shop:nothing", "has no 'nothing'"),
        ("shop:Event", "Event"),
    ],
)
def test_what_has_no_contract_is_refused_with_the_reason(
    choreo: Commands, write: Write, target: str, says: str
) -> None:
    outcome = choreo.run("contracts", "export", target)

    assert outcome.code == ExitCode.CONFIGURATION
    assert says in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (choreo.folder / "schemas").exists()


def test_the_folder_is_the_option_or_the_setting(
    choreo: Commands, write: Write, tmp_path: Path
) -> None:
    by_option = choreo.run("contracts", "export", "shop:Paid", "--schemas", str(tmp_path / "a"))
    by_setting = choreo.run("contracts", "export", "shop:Paid", schemas=str(tmp_path / "b"))

    assert (by_option.code, by_setting.code) == (0, 0)
    assert (tmp_path / "a/payments/Paid/1.avsc").is_file()
    assert (tmp_path / "b/payments/Paid/1.avsc").is_file()


def test_a_service_without_its_contract_is_told_the_command_that_writes_it(
    choreo: Commands, write: Write
) -> None:
    refused = choreo.run("run", "shop:billing", codec="avro")
    command = refused.err.partition("run 'choreo ")[2].partition("'")[0].split()
    mended = choreo.run(*command)
    checked = choreo.run("contracts", "check", "shop:billing")

    assert refused.code == ExitCode.CONFIGURATION
    assert command == ["contracts", "export", "shop:Paid"]
    assert (mended.code, checked.code) == (0, 0)


def test_an_event_is_published_by_hand_in_avro_once_its_contract_is_there(
    choreo: Commands, write: Write, mosquitto: MqttPart
) -> None:
    command = ("publish", "shop:Paid", '{"order": "o-1"}', "--broker", mosquitto.url, "--json")

    refused = choreo.run(*command, codec="avro")
    choreo.run("contracts", "export", "shop:Paid")
    published = choreo.run(*command, codec="avro")

    assert (refused.code, published.code) == (ExitCode.CONFIGURATION, ExitCode.OK)
    assert "choreo contracts export shop:Paid" in refused.error["message"]
    assert published.objects[0]["type"] == "Paid.v1"
