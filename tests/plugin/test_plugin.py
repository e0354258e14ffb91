"""The plugin as somebody else's pytest meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

SHOP = """
from choreo import Event, Service

class Placed(Event, topic="orders", key="number"):
    number: int

class Paid(Event, topic="payments", key="number"):
    number: int

payments = Service("payments")

@payments.on(Placed)
async def charge(order: Placed) -> Paid:
    return Paid(number=order.number)
"""


@pytest.fixture(name="ran")
def _ran(pytester: pytest.Pytester) -> "Ran":
    return Ran(pytester)


class Ran:
    """Runs a file of tests beside a shop."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.makepyfile(shop=SHOP)

    def __call__(self, tests: str, *arguments: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_shop=tests)
        return self._pytester.runpytest_subprocess(*arguments)


@pytest.mark.timeout(60)
def test_the_harness_is_a_fixture(ran: Ran) -> None:
    result = ran(
        """
        import asyncio
        from shop import Paid, Placed, payments

        def test_paid(choreo_world):
            async def main():
                async with choreo_world(payments) as world:
                    await world.publish(Placed(number=1))
                    await world.settle()
                    assert world.published(Paid) == [Paid(number=1)]
            asyncio.run(main())
        """
    )

    result.assert_outcomes(passed=1)


@pytest.mark.timeout(60)
def test_no_mode_of_asyncio_is_forced_on_those_who_have_the_plugin(ran: Ran) -> None:
    result = ran("async def test_nobody_runs(): ...", "-p", "no:asyncio")

    assert "async def functions are not natively supported" in result.stdout.str()


def test_loading_it_imports_nothing_of_choreo_that_is_not_asked_for(tmp_path: Path) -> None:
    program = "import sys, choreo.testing.plugin as _; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=tmp_path
    ).stdout.split()

    assert {name for name in loaded if name.startswith("choreo")} == {
        "choreo",
        "choreo.testing",
        "choreo.testing.plugin",
    }
    assert "pydantic" not in loaded
