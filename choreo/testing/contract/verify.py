"""Run the contract without pytest: what the kit's own tests do with broken adapters."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import TypeVar
from unittest import SkipTest

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an adapter or a store fared, by the names of the tests."""

    passed: list[str] = field(default_factory=list[str])
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    """Each with the reason."""
    failed: dict[str, BaseException] = field(default_factory=dict[str, BaseException])


async def verify(
    contract: type[object],
    setup: Callable[[], S],
    *,
    only: Collection[str] = (),
    limit: float = 60.0,
) -> Verdict:
    """Run the tests of *contract*, or those named in *only*, each on a setup of its own.

    A test that takes longer than *limit* seconds has failed.
    """
    verdict = Verdict()
    names = [name for name in dir(contract) if name.startswith("test_")]
    for name in only or names:
        test: Callable[[S], Awaitable[None]] = getattr(contract(), name)
        try:
            async with asyncio.timeout(limit):
                await test(setup())
        except SkipTest as reason:
            verdict.skipped[name] = str(reason)
        # A broken adapter may raise anything, and that is its verdict.
        except Exception as error:  # noqa: BLE001
            verdict.failed[name] = error
        else:
            verdict.passed.append(name)
    return verdict
