"""A contract changes, step by step, and every step is judged before it is deployed."""

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.cli.evolving import Write, breaks, changing, checked
from tests.cli.program import Commands


@pytest.fixture(name="change")
def _change(choreo: Commands) -> Write:
    return changing(choreo)


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
