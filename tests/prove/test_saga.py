"""The saga of a run, by its own handlers and store: it ends once, and it is told if it does not."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from choreo import Service
from choreo.runner import started
from choreo.testing.checker import Evidence, Scribe, Verdict, check
from choreo.testing.checker.recorder import Recorder
from tests.patience import patient
from tests.prove import saga
from tests.prove.events import checksum, events_of
from tests.prove.ledgers import Ledgers, open_ledgers
from tests.prove.worker import Task, service_of

RUN = "prove-saga"
MEMORY = "memory://prove-saga"
REQUESTS = range(1, 2 * saga.EVERY + 1)
"""Two sagas: the first is paid in time, the second never, as its payment is refused."""


async def lived(folder: Path, planted: str) -> Verdict:
    """Let both sagas come to their ends, and judge them by the rows of the ledger."""
    requested = events_of(RUN).requested
    async with AsyncExitStack() as stack:
        ledgers = await open_ledgers(stack, RUN, [f"sqlite:///{folder}/store.db"])
        for role in ("order", "payment"):
            task = task_of(role, folder, planted)
            scribe = Scribe(Path(task.history))
            service = service_of(task, scribe, Recorder(scribe, task.service))
            await stack.enter_async_context(started(service))
            stack.callback(scribe.close)
        outside = await stack.enter_async_context(started(Service("outside", broker=MEMORY)))
        await outside.publish(
            [
                requested(
                    owner="ann",
                    number=number,
                    kind="rejected" if number == REQUESTS[-1] else "",
                    check=checksum("ann", number),
                )
                for number in REQUESTS
            ]
        )
        await at_rest(ledgers)
        steps = await ledgers.steps()
    return check(Evidence(subscribers=[], entries=steps, log_known=False))


async def at_rest(ledgers: Ledgers) -> None:
    """Return once both timers have come, and whatever they lead to is done."""
    async with asyncio.timeout(patient(20)):
        while True:
            done = [effect.handler for effect in await ledgers.effects()]
            lapses = sum(step.result == "undone" for step in await ledgers.steps())
            if (done.count("expire"), done.count("release")) == (2, lapses):
                return
            await asyncio.sleep(0.02)


def task_of(role: str, folder: Path, planted: str) -> Task:
    return Task(
        role=role,
        run=RUN,
        broker=MEMORY,
        store=f"sqlite:///{folder}/store.db?create=true",
        proc=f"{role}-1",
        life=1,
        history=str(folder / f"{role}.jsonl"),
        planted=planted,
    )


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both sagas wait as long, and longer than a payment takes here."""
    monkeypatch.setattr(saga, "PATIENCE", timedelta(seconds=patient(1)))
    monkeypatch.setattr(saga, "HASTE", timedelta(seconds=patient(1)))


@pytest.mark.timeout(60)
async def test_a_saga_ends_once_when_it_is_paid_and_once_when_it_is_not(tmp_path: Path) -> None:
    verdict = await lived(tmp_path, planted="")

    assert verdict.found == {}
    assert (verdict.seen["saga completed"], verdict.seen["saga compensated"]) == (1, 1)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("planted", "told"),
    [("two-ends", "has 2 ends: completed, timed out"), ("no-end", "has no end")],
)
async def test_a_saga_with_another_number_of_ends_is_told(
    planted: str, told: str, tmp_path: Path
) -> None:
    verdict = await lived(tmp_path, planted)

    assert [name for name in verdict.found if name != "saga"] == []
    assert told in "\n".join(verdict.lines)
