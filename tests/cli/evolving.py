"""A shop whose contract changes, and billing that reads its first version."""

from collections.abc import Callable
from typing import Any

from tests.cli.program import Commands

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


def changing(choreo: Commands) -> Write:
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
