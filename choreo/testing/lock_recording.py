"""``pytest --choreo-lock``: what services were seen to read, kept in ``choreo.lock``.

A plugin of its own that ``choreo.testing.plugin`` registers where the option is given. It looks on
while tests run, and at the end writes the lock, or compares it with the one that is there. A lock
tells what all tests have shown, so that a run of some, or one that failed, leaves it alone.
"""

import re
from collections.abc import Mapping, Sequence
from contextvars import Token
from difflib import unified_diff
from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest

from choreo.cli.target import services
from choreo.contracts.lock import Lock, ServiceLock, lock_text
from choreo.contracts.locking import Reads, Seen, lock_of, place_below
from choreo.errors import ConfigurationError
from choreo.observer import Observer, observer
from choreo.plan import Plan
from choreo.service import Service
from choreo.testing.field_reads import FieldReads, Observed

_LINE = re.compile(r"(?<=[^\s\":]):\d+(?=\",?$)", re.MULTILINE)
"""A line's number, which is wrong as soon as a line is put above it, and no news."""
_NARROWING = {"keyword": "-k", "markexpr": "-m", "lf": "--lf", "last_failed": "--lf"}
SHOWN = 40
"""Lines of a difference that are shown."""


class LockRecording:
    """Records the lock of a project's services for one session of pytest."""

    def __init__(self, config: pytest.Config, *, write: bool) -> None:
        """Raise UsageError for what cannot be recorded: no services, some tests only, workers."""
        targets: list[str] = config.getini("choreo_services")
        _check(config, targets)
        self._targets = targets
        self._write = write
        self._root = config.rootpath
        self._path = config.rootpath / str(config.getini("choreo_lock"))
        self._tests: set[str] = set()
        self._reads = FieldReads(self._is_test)
        self._token: Token[Observer | None] | None = None
        self._deselected = 0
        self._told: list[str] = []

    def pytest_sessionstart(self) -> None:
        """Begin to look on."""
        self._token = observer.set(self._reads)

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Learn which files are tests, whose reading of an event is none of the service's."""
        self._tests.update(str(item.path) for item in items)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Learn that not all tests run."""
        self._deselected += len(items)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the lock, or compare it."""
        if self._token is not None:
            observer.reset(self._token)
        self._reads.close()
        if exitstatus != pytest.ExitCode.OK or self._deselected:
            why = "some tests were left out" if self._deselected else "the tests did not pass"
            self._told = [f"left alone, for {why}"]
            return
        try:
            lock = self._lock()
            text = lock_text(lock)
            self._told = self._written(text) if self._write else self._compared(text)
            self._told += _unseen(lock)
        except ConfigurationError as error:
            self._told = [str(error)]
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            return
        if not self._write and len(self._told) > 0 and self._told[0].startswith("differs"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 -- pytest exports no name for it
        """Tell what became of the lock."""
        terminalreporter.section(self._path.name)
        for line in self._told:
            terminalreporter.write_line(line)

    def _is_test(self, file: str) -> bool:
        return file in self._tests or Path(file).name == "conftest.py"

    def _lock(self) -> Lock:
        return Lock(
            services={service.name: self._of(service) for service in services(self._targets)}
        )

    def _of(self, service: Service[Any]) -> ServiceLock:
        return lock_of(service, self._root, seen_of(self._reads, service, self._root))

    def _written(self, text: str) -> list[str]:
        if self._path.is_file() and self._path.read_text(encoding="utf-8") == text:
            return ["as it was"]
        self._path.write_text(text, encoding="utf-8")
        return [f"written to {self._path}"]

    def _compared(self, text: str) -> list[str]:
        if not self._path.is_file():
            return ["differs: it is not there; pytest --choreo-lock=write writes it"]
        kept = self._path.read_text(encoding="utf-8")
        was, now = (_LINE.sub("", one).splitlines() for one in (kept, text))
        if was == now:
            return ["as committed"]
        lines = list(unified_diff(was, now, "committed", "seen", lineterm="", n=2))
        return ["differs: pytest --choreo-lock=write writes it", *lines[:SHOWN]]


def seen_of(reads: FieldReads, service: Service[Any], root: Path) -> Seen:
    """Tell what was seen of *service*, with files named as they lie below *root*."""
    plans = {plan.id: plan for plan in service.plans}
    return Seen(
        {
            handler: _placed(observed, root)
            for (name, handler), observed in reads.handlers.items()
            if name == service.name and handler in plans and _same(observed.plan, plans[handler])
        },
        reads.emitted.get(service.name, set()),
    )


def _placed(observed: Observed, root: Path) -> Reads:
    found: dict[str, set[str]] = {}
    for path, places in observed.reads.items():
        spelt = "".join(step if step in {"[]", "{}"} else f".{step}" for step in path)
        found[spelt.removeprefix(".")] = {place_below(root, file, line) for file, line in places}
    return found


def recording(config: pytest.Config, task: str) -> LockRecording:
    """Make what records the lock of this session."""
    return LockRecording(config, write=task == "write")


def _check(config: pytest.Config, targets: Sequence[str]) -> None:
    if not targets:
        raise pytest.UsageError(
            "--choreo-lock: no service is named: set choreo_services in pytest's configuration, "
            "as in choreo_services = shop.app:payments"
        )
    given: Mapping[str, object] = vars(config.option)
    narrowing = [option for name, option in _NARROWING.items() if given.get(name)]
    narrowing += [str(argument) for argument in config.args if "::" in str(argument)]
    if narrowing:
        raise pytest.UsageError(
            f"--choreo-lock: a lock tells what all tests have shown: leave out {narrowing[0]}"
        )
    if given.get("numprocesses") or hasattr(config, "workerinput"):
        raise pytest.UsageError("--choreo-lock: what workers see is not gathered: leave out -n")


def _same(one: Plan, other: Plan) -> bool:
    """Tell whether two plans have one handler, made anew by a function though it may be."""
    codes = [getattr(unwrap(plan.function), "__code__", plan.function) for plan in (one, other)]
    return codes[0] == codes[1]


def _unseen(lock: Lock) -> list[str]:
    names = [
        f"{service}.{handler}"
        for service, locked in lock.services.items()
        for taken in locked.consumes
        for handler, reading in taken.handlers.items()
        if not reading.observed
    ]
    return [f"no test had these handle an event: {', '.join(names)}"] if names else []
