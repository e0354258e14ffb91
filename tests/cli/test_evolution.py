"""A contract changes, step by step, and every step is judged before it is deployed."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.cli.program import Commands, Outcome

CLASSES = """
from decimal import Decimal
from enum import Enum
from typing import Annotated

from pydantic import AliasChoices, Field

from choreo import Event, Service

class Channel(Enum):
{symbols}

class OrderPlaced(Event, topic="orders", key="order_id", version={version}):
    order_id: str
{fields}
"""
BILLING = """

billing = Service("billing")

@billing.on(OrderPlaced)
async def charge(order: OrderPlaced) -> None:
    if order.quantity > 0:
        print(order.total)

@billing.on(OrderPlaced)
async def archive(order: OrderPlaced) -> None:
    print(order)

@billing.on(OrderPlaced)
async def count(order: OrderPlaced) -> None:
    print(order.order_id)
"""
SYMBOLS = ["web", "shop"]
FIELDS = {
    "total": "Annotated[Decimal, Field(max_digits=12, decimal_places=2)]",
    "quantity": "int",
    "channel": "Channel",
}
Write = Callable[..., None]


def module(version: int, fields: dict[str, str], symbols: list[str]) -> str:
    return CLASSES.format(
        version=version,
        fields="\n".join(f"    {name}: {kind}" for name, kind in fields.items()),
        symbols="\n".join(f"    {symbol.upper()} = {symbol!r}" for symbol in symbols),
    )


@pytest.fixture(name="change")
def _change(choreo: Commands) -> Write:
    """Return what writes the shop's next version; the first is exported, and billing reads it."""

    def write(
        *, without: str = "", symbols: list[str] = SYMBOLS, version: int = 2, **fields: str
    ) -> None:
        changed = {name: kind for name, kind in {**FIELDS, **fields}.items() if name != without}
        (choreo.folder / "shop.py").write_text(module(version, changed, symbols))

    (choreo.folder / "billing.py").write_text(module(1, FIELDS, SYMBOLS) + BILLING)
    assert choreo.run("contracts", "export", "billing:OrderPlaced").code == 0
    return write


def checked(choreo: Commands, *more: str) -> tuple[int, Any]:
    """Check the shop's class beside what billing reads; return the verdict on it."""
    assert choreo.run("contracts", "export", "shop:OrderPlaced").code == 0
    outcome = choreo.run(
        "contracts", "check", "shop:OrderPlaced", "billing:billing", "--json", *more
    )
    return outcome.code, outcome.objects[-1]


def breaks(verdict: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (one["at"], one["kind"], one["direction"]) for one in verdict["findings"] if one["breaks"]
    ]


BACKWARD = ("--mode", "backward_transitive")


def test_a_field_added_with_a_default_may_be_deployed_in_any_order(
    choreo: Commands, change: Write
) -> None:
    change(currency="str = 'EUR'")

    code, verdict = checked(choreo)

    assert (code, verdict["state"], verdict["order"]) == (0, "compatible", "any order")
    assert (verdict["event"], verdict["topic"], verdict["version"]) == ("OrderPlaced", "orders", 2)


def test_a_removed_field_is_refused_with_who_reads_it_and_where(
    choreo: Commands, change: Write
) -> None:
    change(without="total")

    code, verdict = checked(choreo)

    assert (code, verdict["state"]) == (ExitCode.CONFIGURATION, "refused")
    assert verdict["order"] == "consumers first"
    (found,) = verdict["findings"]
    assert (found["at"], found["direction"], found["now"]) == ("total", "forward", None)
    assert found["was"] == "decimal(12, 2) without default"
    assert "keep total" in found["fix"]
    source = (choreo.folder / "billing.py").read_text().splitlines()
    reads, whole, takes = found["readers"]
    assert (reads["service"], reads["handler"], reads["use"]) == ("billing", "charge", "reads")
    assert source[line(reads)].strip() == "print(order.total)"
    assert (whole["handler"], whole["use"]) == ("archive", "passes_on")
    assert source[line(whole)].strip() == "print(order)"
    assert (takes["handler"], takes["use"]) == ("count", "takes")


def line(reader: dict[str, str]) -> int:
    file, _, number = reader["where"].rpartition(":")
    assert file.endswith("billing.py")
    return int(number) - 1


def test_people_read_the_same_in_words(choreo: Commands, change: Write) -> None:
    change(without="total")
    choreo.run("contracts", "export", "shop:OrderPlaced")

    outcome = choreo.run("contracts", "check", "shop:OrderPlaced", "billing:billing")

    assert outcome.code == ExitCode.CONFIGURATION
    assert "refused    schemas/orders/OrderPlaced/2.avsc  deploy those who read it" in outcome.out
    assert "v1 cannot read the new (default): was decimal(12, 2)" in outcome.out
    assert "billing.charge reads it: " in outcome.out
    assert "fix: keep total" in outcome.out
    assert "1 contract does not hold" in outcome.err


def test_a_field_renamed_with_an_alias_is_accepted_where_consumers_go_first(
    choreo: Commands, change: Write
) -> None:
    change(
        without="quantity",
        amount='int = Field(validation_alias=AliasChoices("amount", "quantity"), '
        'serialization_alias="amount")',
    )

    code, verdict = checked(choreo, *BACKWARD)
    full, refused = checked(choreo)

    assert (code, verdict["state"], verdict["order"]) == (0, "compatible", "consumers first")
    assert (full, breaks(refused)) == (3, [("quantity", "default", "forward")])


def test_a_decimal_of_another_scale_is_refused_in_every_mode_but_none(
    choreo: Commands, change: Write
) -> None:
    change(total="Annotated[Decimal, Field(max_digits=12, decimal_places=3)]")

    codes = {}
    for mode in ("backward", "forward", "full", "full_transitive", "none"):
        codes[mode], verdict = checked(choreo, "--mode", mode)
        assert verdict["order"] == "no order"

    assert codes == {"backward": 3, "forward": 3, "full": 3, "full_transitive": 3, "none": 0}
    _, verdict = checked(choreo)
    assert breaks(verdict) == [("total", "meaning", "backward"), ("total", "meaning", "forward")]
    assert verdict["upcaster"].splitlines()[0] == "@OrderPlaced.upcast(from_version=1)"


UPCAST = """
@OrderPlaced.upcast(from_version=1)
def from_v1(old):
    return old
"""


def test_what_an_upcaster_converts_does_not_break_and_the_old_go_last(
    choreo: Commands, change: Write
) -> None:
    change(total="Annotated[Decimal, Field(max_digits=12, decimal_places=3)]")
    with (choreo.folder / "shop.py").open("a") as module:
        module.write(UPCAST)

    code, verdict = checked(choreo, *BACKWARD)

    assert (code, verdict["state"], verdict["order"]) == (0, "compatible", "consumers first")
    assert [one["upcast"] for one in verdict["findings"]] == [True, False]
    assert verdict["upcaster"] is None


def test_a_symbol_is_added_where_consumers_go_first(choreo: Commands, change: Write) -> None:
    change(symbols=["web", "shop", "phone"])

    code, verdict = checked(choreo, *BACKWARD)
    full, refused = checked(choreo)

    assert (code, verdict["order"]) == (0, "consumers first")
    assert (full, breaks(refused)) == (3, [("channel", "symbol", "forward")])
    assert refused["findings"][0]["now"] == "phone"
    assert "those who read first" in refused["findings"][0]["fix"]


def test_what_is_accepted_holds_for_that_very_contract_and_says_why(
    choreo: Commands, change: Write
) -> None:
    change(without="total")
    checked(choreo)

    accepted = choreo.run("contracts", "accept", "OrderPlaced", "--because", "billing is gone")
    code, verdict = checked(choreo)
    change(without="quantity")
    choreo.run("contracts", "export", "shop:OrderPlaced", "--force")
    again = choreo.run("contracts", "check", "--json")

    assert accepted.code == 0
    assert (choreo.folder / "schemas/orders/OrderPlaced/2.accepted.json").is_file()
    assert (code, verdict["state"], verdict["accepted"]) == (0, "accepted", "billing is gone")
    assert (again.code, again.objects[0]["state"]) == (3, "refused")


def test_there_is_nothing_to_accept_where_nothing_breaks(choreo: Commands, change: Write) -> None:
    change(currency="str = 'EUR'")
    choreo.run("contracts", "export", "shop:OrderPlaced")

    outcome = choreo.run("contracts", "accept", "OrderPlaced", "--because", "of that", "--json")

    assert outcome.code == ExitCode.NOT_FOUND
    assert "breaks with nothing" in outcome.error["message"]


def test_a_class_is_judged_before_its_contract_is_written(choreo: Commands, change: Write) -> None:
    change(without="total")

    outcome = choreo.run("contracts", "check", "shop:OrderPlaced", "--json")

    assert outcome.code == ExitCode.CONFIGURATION
    assert [one["state"] for one in outcome.objects] == ["missing", "refused"]
    assert outcome.objects[1]["path"] == "class shop:OrderPlaced"


def test_a_transitive_mode_looks_at_every_version_and_a_plain_one_at_the_last(
    choreo: Commands, change: Write
) -> None:
    change(currency="str = 'EUR'")
    choreo.run("contracts", "export", "shop:OrderPlaced")
    change(currency="str", version=3)

    plain, _ = checked(choreo, "--mode", "backward")
    code, verdict = checked(choreo, *BACKWARD)

    assert (plain, code) == (0, 3)
    assert [(one["at"], one["with"]) for one in verdict["findings"] if one["breaks"]] == [
        ("currency", 1)
    ]


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
