"""A contract changes, step by step, and the lock of another project tells what that would break."""

from typing import Any

import pytest

from choreo.cli.exit_codes import ExitCode
from tests.locks.projects import ORDERS, Project, billing, orders

pytestmark = pytest.mark.timeout(240)

Outcome = tuple[int, list[dict[str, Any]], dict[str, Any]]


@pytest.fixture(name="shop", scope="module")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return what writes orders, beside a billing that reads their first version."""
    folder = tmp_path_factory.mktemp("story")
    billing(folder / "billing")
    return orders(folder / "orders")


def changed(shop: Project, **change: Any) -> Outcome:  # noqa: ANN401 -- as Project.write has it
    """Change the class, and check it against billing's lock before anything is deployed."""
    shop.write(ORDERS, version=2, **change)
    done = shop.commands.run(
        "contracts", "check", "app:orders", "--against", "../billing/choreo.lock",
        "--mode", "none", "--json",
    )  # fmt: skip
    *found, verdict = [one for one in done.objects if "readers" in one or "deploy" in one]
    return done.code, found, verdict


def about_fields(found: list[dict[str, Any]]) -> list[tuple[str, str, str | None, str | None]]:
    return [
        (one["at"], one["kind"], one["was"], one["now"]) for one in found if one["at"] in FIELDS
    ]


FIELDS = ("total", "quantity", "channel", "note", "currency", "amount")


def test_a_removed_field_is_refused_with_the_service_and_the_line_that_reads_it(
    shop: Project,
) -> None:
    code, found, verdict = changed(shop, without="total")

    assert code == ExitCode.CONFIGURATION
    assert verdict["deploy"] is False
    assert about_fields(found) == [("total", "default", "decimal(12, 2) without default", None)]
    ((reader,),) = [one["readers"] for one in found if one["at"] == "total"]
    file, _, line = reader["where"].rpartition(":")
    source = (shop.folder.parent / "billing" / file).read_text().splitlines()
    assert (reader["service"], reader["handler"], reader["use"]) == ("billing", "charge", "reads")
    assert source[int(line) - 1].strip() == "if order.total > 0:"


def test_a_removed_field_that_nobody_reads_says_who_has_to_let_it_go_first(shop: Project) -> None:
    _, found, _ = changed(shop, without="note")

    ((one,),) = [[each for each in found if each["at"] == "note"]]
    assert one["readers"][0]["use"] == "takes"
    assert one["fix"].startswith("nobody in billing reads note")
