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

    def __call__(self, tests: str, *arguments: str, shop: str = "") -> pytest.RunResult:
        self._pytester.makepyfile(shop=SHOP + shop, test_shop=tests)
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


PAID = """
import asyncio, pytest
from shop import Paid, Placed, payments, shop
{marker}
def test_paid(choreo_world):
    async def main():
        async with choreo_world(*shop()) as world:
            for number in range(10):
                await world.publish(Placed(number=number))
            await world.settle()
            assert {{paid.number for paid in world.published(Paid)}} == set(range(10))
    asyncio.run(main())
"""
SHOPS = """
from itertools import count

def shop():
    return [payments]

def careless():
    made, numbers = Service("payments"), count()

    @made.on(Placed)
    async def charge(order: Placed) -> Receipt:
        return Receipt(number=order.number, receipt=next(numbers))
    return [made]

class Receipt(Event, topic="receipts", key="number"):
    number: int
    receipt: int
"""


@pytest.mark.timeout(90)
def test_a_marked_test_runs_in_peace_and_then_under_each_seed_of_trouble(ran: Ran) -> None:
    marker = "@pytest.mark.choreo(duplicates=0.5, reorder=0.5, delay=0.001, crash=1, seeds=2)"

    result = ran(PAID.format(marker=marker), "-v", shop=SHOPS)

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*test_paid?peace?*", "*test_paid?seed 1?*", "*test_paid?seed 2?*"]
    )


@pytest.mark.timeout(90)
def test_other_effects_under_trouble_than_in_peace_fail_the_test_and_are_told(ran: Ran) -> None:
    tests = """
    import asyncio, pytest
    from shop import Placed, careless

    @pytest.mark.choreo(crash=1, seeds=1)
    def test_receipts(choreo_world):
        async def main():
            async with choreo_world(*careless()) as world:
                for number in range(10):
                    await world.publish(Placed(number=number))
                await world.settle()
        asyncio.run(main())
    """

    result = ran(tests, shop=SHOPS)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "under trouble (1 crashes: payments after charge, with nothing written, seed 1) *:",
            "  - published Receipt.v1 {*}",
            "  + published Receipt.v1 {*}",
        ]
    )


@pytest.mark.timeout(90)
def test_trouble_that_never_came_about_shows_nothing(ran: Ran) -> None:
    tests = """
    import asyncio, pytest
    from shop import payments

    @pytest.mark.choreo(duplicates=0.5, seeds=1)
    def test_nothing(choreo_world):
        async def main():
            async with choreo_world(payments) as world:
                await world.settle()
        asyncio.run(main())
    """

    result = ran(tests)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["no trouble came about, so that nothing is shown: *"])


@pytest.mark.timeout(60)
def test_a_marked_test_without_the_fixture_is_told_to_ask_for_it(ran: Ran) -> None:
    result = ran("import pytest\n@pytest.mark.choreo(crash=1)\ndef test_it(): ...")

    assert "ask for that fixture" in result.stdout.str()
    assert result.ret != 0


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
