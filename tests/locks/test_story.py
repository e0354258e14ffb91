"""A contract changes, step by step, and the lock of another project tells what that would break."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.locks.projects import BILLING_TEST, ORDERS, Project, billing, locked_orders, orders

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

Outcome = tuple[int, list[dict[str, Any]], dict[str, Any]]
RECORDED = Path(__file__).with_name("recorded")
FIELDS = ("total", "quantity", "channel", "note", "currency", "amount")


@pytest.fixture(name="reader", scope="module")
def _reader(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return billing, which reads the first version of orders."""
    return billing(tmp_path_factory.mktemp("story") / "billing")


@pytest.fixture(name="shop", scope="module")
def _shop(reader: Project) -> Project:
    """Return what writes orders, beside it."""
    made = orders(reader.folder.parent / "orders")
    running = reader.folder.parent / "running"
    running.mkdir()
    for project in (made, reader):
        shutil.copy(project.lock, running / f"{project.folder.name}.lock")
    return made


def changed(shop: Project, *against: str, **change: Any) -> Outcome:  # noqa: ANN401 -- as Project.write has it
    """Change the class, and check it against the locks of others before anything is deployed."""
    shop.write(ORDERS, version=2, **change)
    locks = [
        word for lock in against or ("../billing/choreo.lock",) for word in ("--against", lock)
    ]
    done = shop.commands.run("contracts", "check", "app:orders", *locks, "--mode", "none", "--json")
    *found, verdict = [one for one in done.objects if "reader" in one or "deploy" in one]
    return done.code, found, verdict


def about_fields(found: list[dict[str, Any]]) -> list[tuple[str, str, str | None, str | None]]:
    return [
        (one["at"], one["kind"], one["was"], one["now"]) for one in found if one["at"] in FIELDS
    ]


def test_a_field_added_with_a_default_may_be_deployed_in_any_order(
    shop: Project, reader: Project
) -> None:
    """Once billing has a copy of the new contract, without which it reads no newer version."""
    locked_orders(shop, version=2, currency="str = 'EUR'")
    before = shop.commands.run(
        "contracts", "can-deploy", "choreo.lock", "--deployed", "../billing/choreo.lock", "--json"
    )
    copy = Project(reader.folder.parent / "copy", "billing")
    shutil.copytree(reader.folder, copy.folder, dirs_exist_ok=True)
    shutil.copytree(shop.folder / "schemas", copy.folder / "schemas")
    assert copy.tested(BILLING_TEST, "--choreo-lock=write").returncode == 0

    after = shop.commands.run(
        "contracts", "can-deploy", "choreo.lock", "--deployed", "../copy/choreo.lock", "--json"
    )

    assert [one.get("kind") for one in before.objects[:-1]] == ["copy"]
    assert "a copy of OrderPlaced/2.avsc" in before.objects[0]["fix"]
    assert (after.code, after.objects) == (
        ExitCode.OK,
        [{"deploy": True, "services": ["orders"], "order": ["orders"], "any_order": True}],
    )


def test_a_removed_field_is_refused_with_the_service_and_the_line_that_reads_it(
    shop: Project, reader: Project
) -> None:
    code, found, verdict = changed(shop, without="total")

    assert code == ExitCode.CONFIGURATION
    assert verdict["deploy"] is False
    assert about_fields(found) == [("total", "default", "decimal(12, 2) without default", None)]
    ((one,),) = [[each for each in found if each["at"] == "total"]]
    ((reads,), fix) = one["readers"], one["fix"]
    file, _, line = reads["where"].rpartition(":")
    source = (reader.folder / file).read_text().splitlines()
    assert (reads["service"], reads["handler"], reads["use"]) == ("billing", "charge", "reads")
    assert source[int(line) - 1].strip() == "if order.total > 0:"
    assert "keep total" in fix


def test_a_removed_field_that_nobody_reads_says_who_has_to_let_it_go_first(shop: Project) -> None:
    _, found, _ = changed(shop, without="note")

    ((one,),) = [[each for each in found if each["at"] == "note"]]
    assert one["readers"][0]["use"] == "takes"
    assert one["fix"].startswith("nobody in billing reads note")


def test_a_rename_with_an_alias_and_a_new_symbol_are_accepted_where_the_reader_goes_first(
    shop: Project, reader: Project
) -> None:
    """An alias helps the one that reads; and what was recorded before is read by it as well."""
    newer = Project(reader.folder.parent / "newer", "billing")
    newer.write(NEWER_BILLING, version=2, **CHANGE)
    shutil.copytree(RECORDED, newer.folder / "recorded")
    tested = newer.tested(NEWER_TEST, "--choreo-lock=write")
    assert tested.returncode == 0, tested.stdout
    locked_orders(shop, version=2, **CHANGE)
    deployed = ("--deployed", str(reader.folder.parent / "running"), "--json")

    alone = shop.commands.run("contracts", "can-deploy", "choreo.lock", *deployed)
    both = shop.commands.run(
        "contracts", "can-deploy", "choreo.lock", "../newer/choreo.lock", *deployed
    )

    assert alone.code == ExitCode.CONFIGURATION
    assert about_fields(alone.objects[:-1]) == [
        ("quantity", "default", "long without default", None),
        ("channel", "symbol", "enum Channel without default", "phone"),
    ]
    *waiting, verdict = both.objects
    assert both.code == ExitCode.OK
    assert verdict["order"] == ["billing", "orders"]
    assert {(one["state"], one["first"], one["then"]) for one in waiting} == {
        ("order", "billing", "orders")
    }


CHANGE: dict[str, Any] = {
    "without": "quantity",
    "symbols": ["web", "shop", "phone"],
    "amount": 'int = Field(validation_alias=AliasChoices("amount", "quantity"), '
    'serialization_alias="amount")',
}
NEWER_BILLING = """
billing = Service("billing")
amounts: list[int] = []

@OrderPlaced.upcast(from_version=1)
def as_it_was(old: dict[str, object]) -> dict[str, object]:
    return old

@billing.on(OrderPlaced)
async def charge(order: OrderPlaced) -> None:
    if order.total > 0 and order.channel is not Channel.PHONE:
        amounts.append(order.amount)
"""
NEWER_TEST = """
import json
from pathlib import Path

from app import amounts, billing
from choreo import Message
from choreo.testing import Harness

async def test_what_was_recorded_before_is_read() -> None:
    recorded = Path("recorded/orders.jsonl").read_text().splitlines()
    async with Harness(billing) as world:
        for line in recorded:
            await world.send(Message("orders", line.encode(), b"o-1", [
                ("content-type", b"application/cloudevents+json"),
            ]))
        await world.settle()
        assert not world.dead_letters
    assert amounts == [2, 5]
"""


def test_a_decimal_of_another_scale_is_refused(shop: Project) -> None:
    code, found, verdict = changed(
        shop, total="Annotated[Decimal, Field(max_digits=12, decimal_places=3)]"
    )

    assert (code, verdict["deploy"]) == (ExitCode.CONFIGURATION, False)
    assert about_fields(found) == [("total", "meaning", "decimal(12, 2)", "decimal(12, 3)")]
