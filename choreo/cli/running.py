"""``choreo run``: what it was asked for, checked and handed to whoever does it."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.cli.description import Subject, as_json, describe, subject
from choreo.cli.screen import cell, out, print_json, service_table
from choreo.cli.serving import serve, stop_budget
from choreo.cli.target import services
from choreo.cli.workers import check, supervise
from choreo.logs import configure

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``choreo run``."""

    targets: Sequence[str]
    broker: str | None = None
    workers: int = 1
    reload: bool = False
    folders: Sequence[Path] = ()
    """What ``--reload`` watches; the current folder if empty."""
    json: bool = False
    debug: bool = False
    level: str = "INFO"
    lifeline: int | None = None
    quiet: bool = False
    """Without the table: the supervisor has shown it."""

    def child(self, *, quiet: bool) -> list[str]:
        """Write the options that a child process of this request is started with."""
        options = ["--log-level", self.level]
        options += ["--broker", self.broker] if self.broker else []
        options += ["--json"] if self.json else []
        options += ["--debug"] if self.debug else []
        options += ["--quiet"] if quiet else []
        return [*options, "--", *self.targets]


def run(request: Request) -> int:
    """Do it; return the exit code. Raises ConfigurationError before anything ran."""
    configure(request.level, json=request.json or not sys.stderr.isatty())
    if request.reload:
        from choreo.cli.reload import reload  # noqa: PLC0415 -- only here watchfiles is needed

        return reload(request.child(quiet=False), request.folders or [Path.cwd()])
    subjects = [subject(service, request.broker) for service in services(request.targets)]
    if request.workers > 1:
        check(subjects)
    if not request.quiet:
        show(subjects, json=request.json)
    if request.workers > 1:
        budget = max(stop_budget(subject.settings) for subject in subjects)
        return supervise(request.child(quiet=True), request.workers, budget)
    return serve(subjects, lifeline=request.lifeline, json=request.json, debug=request.debug)


def show(subjects: Sequence[Subject], *, json: bool) -> None:
    """Print the table of every service, or the one JSON object for all of them."""
    descriptions = [describe(subject) for subject in subjects]
    if json:
        print_json(as_json(descriptions))
        return
    console = out()
    for description in descriptions:
        if description.handlers:
            console.print(service_table(description))
        else:
            console.print(cell(f"{description.service} on {description.broker}: no handlers"))
