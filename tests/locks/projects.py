"""Two projects of other people: orders that place them, and billing that reads what it needs."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cli.program import Commands

EVENTS = """
from decimal import Decimal
from enum import Enum
from typing import Annotated

from pydantic import AliasChoices, BaseModel, Field

from choreo import Event, Service

class Channel(Enum):
{symbols}

class OrderPlaced(Event, topic="orders", key="order_id", version={version}):
    order_id: str
{fields}
"""
FIELDS = {
    "total": "Annotated[Decimal, Field(max_digits=12, decimal_places=2)]",
    "quantity": "int",
    "note": "str",
    "channel": "Channel",
}
SYMBOLS = ("web", "shop")
ORDERS = """
class Asked(Event, topic="requests", key="order_id"):
    order_id: str

orders = Service("orders")

@orders.on(Asked)
async def place(asked: Asked) -> OrderPlaced:
    return placed(asked.order_id)

def placed(order_id: str) -> OrderPlaced:
    values = {"total": "9.00", "quantity": 2, "amount": 2, "note": "", "channel": "web"}
    return OrderPlaced.model_validate({"order_id": order_id, **values})
"""
BILLING = """
class Paid(Event, topic="payments", key="order_id"):
    order_id: str

billing = Service("billing")

@billing.on(OrderPlaced, when=lambda order: order.quantity > 0)
async def charge(order: OrderPlaced) -> Paid:
    if order.total > 0:
        print(order.channel)
    return Paid(order_id=order.order_id)

def placed(order_id: str) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id, total="9.00", quantity=2, note="", channel=Channel.WEB
    )
"""
TEST = """
from choreo.testing import Harness
from app import {first}, {service}
{more}

async def test_it() -> None:
    async with Harness({service}) as world:
        await world.publish({given})
        await world.settle()
        assert world.published({then})
"""
CONFIGURATION = """
[pytest]
asyncio_mode = auto
pythonpath = .
choreo_services = app:{service}
"""


class Project:
    """A folder with one service in ``app.py``, a test of it, its contracts and its lock."""

    def __init__(self, folder: Path, service: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.commands = Commands(folder)
        self.commands.variables["PYTHONPATH"] = str(folder)
        (folder / "pytest.ini").write_text(CONFIGURATION.format(service=service))

    @property
    def lock(self) -> Path:
        return self.folder / "choreo.lock"

    def write(
        self,
        service: str,
        *,
        version: int = 1,
        without: str = "",
        symbols: Sequence[str] = SYMBOLS,
        more: str = "",
        **fields: str,
    ) -> None:
        changed = {name: kind for name, kind in {**FIELDS, **fields}.items() if name != without}
        events = EVENTS.format(
            version=version,
            fields="\n".join(f"    {name}: {kind}" for name, kind in changed.items()),
            symbols="\n".join(f"    {symbol.upper()} = {symbol!r}" for symbol in symbols),
        )
        (self.folder / "app.py").write_text(events + more + service)

    def tested(self, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its tests in an interpreter of its own."""
        (self.folder / "test_app.py").write_text(test)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env=self.commands.environment({}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


ORDERS_TEST = TEST.format(
    service="orders", first="Asked, OrderPlaced", more="", given="Asked(order_id='o-1')",
    then="OrderPlaced",
)  # fmt: skip
BILLING_TEST = TEST.format(
    service="billing", first="Paid, placed", more="", given="placed('o-1')", then="Paid"
)


def orders(folder: Path) -> Project:
    """Make the project that writes orders, with its contract and its lock."""
    project = Project(folder, "orders")
    locked_orders(project)
    return project


def locked_orders(project: Project, **change: Any) -> None:  # noqa: ANN401 -- as write has it
    """Change what orders writes, export it and lock it."""
    project.write(ORDERS, **change)
    assert project.commands.run("contracts", "export", "app:orders", "--force").code == 0
    done = project.tested(ORDERS_TEST, "--choreo-lock=write")
    assert done.returncode == 0, done.stdout


def billing(folder: Path) -> Project:
    """Make the project that reads orders of the first version."""
    project = Project(folder, "billing")
    project.write(BILLING)
    done = project.tested(BILLING_TEST, "--choreo-lock=write")
    assert done.returncode == 0, done.stdout
    return project
