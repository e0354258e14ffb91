"""Services in this process: started together, stopped together, each in its own phases."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from choreo.cli.collector import ease_collector
from choreo.cli.description import Subject
from choreo.cli.exit_codes import ExitCode
from choreo.cli.failure import report
from choreo.cli.signals import Interruption, leave_within
from choreo.errors import BrokerError
from choreo.runner import SETTLE_BUDGET, started
from choreo.settings import Settings


class Export(Protocol):
    """Telemetry on its way out of the process."""

    def shutdown(self) -> None:
        """Send what is left, within a budget of its own."""
        ...


logger = logging.getLogger(__name__)

THREADS_BUDGET = 5.0
"""Seconds that threads have to end after everything else has."""


def serve(subjects: Sequence[Subject], *, lifeline: int | None, json: bool, debug: bool) -> int:
    """Run *subjects* until a signal or a failure; return the exit code.

    *lifeline* is the reading end of a pipe that a supervisor holds open: when it closes, the
    supervisor is gone, and the services stop as if by SIGTERM.
    """
    export = _export(subjects)
    with asyncio.Runner() as runner:
        code = runner.run(_serve(subjects, lifeline, json=json, debug=debug))
        if export is not None:
            export.shutdown()
        leave_within(THREADS_BUDGET, code)
    return code


def stop_budget(settings: Settings) -> timedelta:
    """Tell how long stopping in order may take at most: the sum of its phases' budgets."""
    return settings.drain + settings.grace + 4 * SETTLE_BUDGET


def _export(subjects: Sequence[Subject]) -> Export | None:
    """Set telemetry up where the environment speaks of it; otherwise spare the SDK's import."""
    if not any(name.startswith("OTEL_") for name in os.environ):
        return None
    from choreo.telemetry.export import configure_from_environment  # noqa: PLC0415 -- as said

    return configure_from_environment("+".join(subject.service.name for subject in subjects))


async def _serve(
    subjects: Sequence[Subject], lifeline: int | None, *, json: bool, debug: bool
) -> int:
    interruption = Interruption()
    work = asyncio.get_running_loop().create_task(_together(subjects), name="choreo run")
    interruption.listen(work.cancel)
    if lifeline is not None:
        _hold(lifeline, interruption)
    code = ExitCode.OK
    try:
        await work
    except asyncio.CancelledError:
        if interruption.first is None:
            raise
        logger.info("stopped", extra={"signal": interruption.first.name})
    except (Exception, BaseExceptionGroup) as error:  # the boundary of the process
        if debug:
            logger.critical("services failed", exc_info=error)
        code = report(error, as_json=json)
    return code


async def _together(subjects: Sequence[Subject]) -> None:
    ease_collector()
    async with asyncio.TaskGroup() as group:
        for subject in subjects:
            group.create_task(_one(subject), name=f"choreo service {subject.service.name}")


async def _one(subject: Subject) -> None:
    service = subject.service
    names = {"service": service.name, "broker": subject.broker.url}
    async with started(service, settings=subject.settings) as running:
        logger.info("service is running", extra=names)
        try:
            await running.wait()
        except asyncio.CancelledError:
            logger.info("service is stopping", extra=names)
            raise
        raise BrokerError(f"service {service.name}: consumption ended although nobody stopped it")


def _hold(lifeline: int, interruption: Interruption) -> None:
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(lifeline)
        logger.warning("the supervisor is gone, stopping")
        interruption.ask(signal.SIGTERM)

    loop.add_reader(lifeline, gone)
