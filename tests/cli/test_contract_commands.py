"""Contracts beside classes that read them, beside a commit, and made into classes."""

import json
import subprocess

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.cli.evolving import BILLING, Write, changing
from tests.cli.program import Commands, Outcome


@pytest.fixture(name="change")
def _change(choreo: Commands) -> Write:
    return changing(choreo)


def test_a_class_that_cannot_read_its_own_version_is_named_with_its_handlers(
    choreo: Commands, change: Write
) -> None:
    change(quantity="str", version=1)
    shop = choreo.folder / "shop.py"
    shop.write_text(shop.read_text() + BILLING)

    outcome = choreo.run("contracts", "check", "shop:billing", "--json")
    told = choreo.run("contracts", "check", "shop:billing")

    assert (outcome.code, told.code) == (3, 3)
    assert [(one["state"], one["handler"]) for one in outcome.objects] == [
        ("unfit", "charge"),
        ("unfit", "archive"),
        ("unfit", "count"),
    ]
    assert outcome.objects[0]["findings"] == [
        {"at": "quantity", "kind": "type", "written": "long", "read": "string"}
    ]
    assert "billing.charge cannot read it: " in told.out
    assert "quantity (type): long written, string read" in told.out


def test_a_class_may_leave_out_what_it_does_not_read(choreo: Commands, change: Write) -> None:
    change(without="channel", version=1)
    shop = choreo.folder / "shop.py"
    shop.write_text(shop.read_text() + BILLING)

    assert choreo.run("contracts", "check", "shop:billing").code == 0


def test_a_contract_nested_beyond_reason_is_refused_in_one_line(
    choreo: Commands, change: Write
) -> None:
    path = choreo.folder / "schemas/orders/OrderPlaced/2.avsc"
    for depth in (100, 100_000):
        path.write_text('{"type":"array","items":' * depth + '"int"' + "}" * depth)

        outcome = choreo.run("contracts", "check")

        assert outcome.code == ExitCode.CONFIGURATION
        assert len(outcome.err.splitlines()) == 1
        assert "2.avsc" in outcome.err


def git(choreo: Commands, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=choreo.folder, check=True, timeout=30)


def test_contracts_that_a_commit_has_are_in_use(choreo: Commands, change: Write) -> None:
    git(choreo, "init", "-q", "-b", "main")
    git(choreo, "add", "schemas")
    git(choreo, "commit", "-q", "-m", "first")
    first = choreo.folder / "schemas/orders/OrderPlaced/1.avsc"
    change(currency="str = 'EUR'")
    choreo.run("contracts", "export", "shop:OrderPlaced")

    added = against(choreo, "main")
    text = first.read_text()
    first.write_text(text.replace('"scale": 2', '"scale": 3'))
    touched = against(choreo, "main")
    first.unlink()
    removed = against(choreo, "main")
    unknown = against(choreo, "nowhere")

    assert (added.code, added.objects[-1]["order"]) == (0, "any order")
    assert (touched.code, touched.objects[0]["state"]) == (3, "changed")
    assert touched.objects[0]["differences"] == [
        {"at": "/fields/total/type/scale", "was": 2, "now": 3}
    ]
    assert (removed.code, removed.objects[0]["state"]) == (3, "removed")
    assert (unknown.code, "git knows nothing" in unknown.error["message"]) == (3, True)
    assert "no such commit" in unknown.error["message"]


def against(choreo: Commands, ref: str) -> Outcome:
    return choreo.run("contracts", "check", "--against", ref, "--json")


def test_a_reference_is_never_taken_for_an_option(choreo: Commands, change: Write) -> None:
    git(choreo, "init", "-q", "-b", "main")

    outcome = choreo.run("contracts", "check", "--against=--output=stolen", "--json")

    assert outcome.code == ExitCode.CONFIGURATION
    assert not list(choreo.folder.rglob("stolen*"))


def test_a_difference_is_shown_and_never_fails(choreo: Commands, change: Write) -> None:
    change(without="total", currency="str = 'EUR'")
    choreo.run("contracts", "export", "shop:OrderPlaced")

    told = choreo.run("contracts", "diff")
    data = choreo.run("contracts", "diff", "--json")

    assert (told.code, data.code) == (0, 0)
    assert "orders/OrderPlaced  v1 → v2" in told.out
    assert "/fields/total: only v1" in told.out
    assert {"at": "/fields/currency", "now": {"name": "currency", "type": "string",
            "default": "EUR"}} in data.objects[0]["differences"]  # fmt: skip


def test_a_contract_is_imported_as_a_class_that_holds_it(choreo: Commands, change: Write) -> None:
    path = "schemas/orders/OrderPlaced/1.avsc"

    outcome = choreo.run("contracts", "import", path, "-o", "imported.py")
    again = choreo.run("contracts", "import", path, "-o", "imported.py")
    checked = choreo.run("contracts", "check", "imported:OrderPlaced", "--json")

    assert outcome.code == 0
    assert (checked.code, checked.objects[0]["state"]) == (0, "same")
    assert (again.code, "is there already" in again.err) == (3, True)


def test_what_makes_no_class_is_refused_in_one_line(choreo: Commands, change: Write) -> None:
    (choreo.folder / "odd.avsc").write_text(json.dumps({"type": "fixed", "name": "A", "size": 4}))

    outcome = choreo.run("contracts", "import", "odd.avsc", "--topic", "odd")
    homeless = choreo.run("contracts", "import", "odd.avsc")

    assert (outcome.code, homeless.code) == (3, 3)
    assert "an event is a record" in outcome.err
    assert "give --topic" in homeless.err
    assert len(outcome.err.splitlines()) == 1
