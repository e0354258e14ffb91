"""``pytest --choreo-lock``: what services were seen to read, kept in ``choreo.lock``.

A plugin of its own that ``choreo.testing.plugin`` registers where the option is given. It looks on
while tests run, and at the end writes the lock, or compares it with the one that is there. A lock
tells what all tests have shown, so that a run of some, or one that failed, leaves it alone.

Where pytest-xdist shares the tests out, each worker gives its account when it ends, and the process
that shares them out puts these together; the lock is the same, to the byte.
"""

import re
from collections.abc import Mapping, Sequence
from contextvars import Token
from difflib import unified_diff
from inspect import unwrap
from pathlib import Path
from typing import Any, Protocol

import pytest

from choreo.cli.target import services
from choreo.contracts.lock import Emission, Lock, ServiceLock, lock_text
from choreo.contracts.locking import Reads, Seen, emission, lock_of, place_below
from choreo.errors import ConfigurationError
from choreo.observer import Observer, observer
from choreo.plan import Plan
from choreo.service import Service
from choreo.testing.field_reads import FieldReads, Observed
from choreo.testing.lock_account import Account, merged, with_emitted

_LINE = re.compile(r"(?<=[^\s\":]):\d+(?=\",?$)", re.MULTILINE)
"""A line's number, which is wrong as soon as a line is put above it, and no news."""
_NARROWING = {"keyword": "-k", "markexpr": "-m", "lf": "--lf", "last_failed": "--lf"}
ACCOUNT = "choreo_lock"
"""Under which a worker hands over what it saw."""
SHOWN = 40
"""Lines of a difference that are shown."""


class Worker(Protocol):
    """A process of pytest-xdist, as whoever shares the tests out knows it."""

    workeroutput: Mapping[str, object]
    """Not there where it ended before its time."""


class LockRecording:
    """Records the lock of a project's services for one session of pytest."""

    def __init__(self, config: pytest.Config, *, write: bool) -> None:
        """Raise UsageError for what cannot be recorded: no services, or some tests only."""
        targets: list[str] = config.getini("choreo_services")
        _check(config, targets)
        self._config = config
        self._targets = targets
        self._write = write
        self._root = config.rootpath
        self._path = config.rootpath / str(config.getini("choreo_lock"))
        self._tests: set[str] = set()
        self._reads = FieldReads(self._is_test)
        self._token: Token[Observer | None] | None = None
        self._deselected = 0
        self._accounts: list[Account] = []
        self._lost = False
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

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Worker) -> None:
        """Take the account of a worker that ended."""
        told = getattr(node, "workeroutput", {}).get(ACCOUNT)
        if isinstance(told, str):
            self._accounts.append(Account.model_validate_json(told))
        else:
            self._lost = True

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the lock, or compare it; a worker gives its account."""
        if self._token is not None:
            observer.reset(self._token)
        self._reads.close()
        try:
            own = self._account()
            told: dict[str, object] | None = getattr(self._config, "workeroutput", None)
            if told is not None:
                told[ACCOUNT] = own.model_dump_json()
                return
            account = merged([own, *self._accounts])
            why = self._why_not(exitstatus, account)
            if why is not None:
                self._told = [f"left alone, for {why}"]
                return
            lock = self._lock(account)
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

    def _why_not(self, exitstatus: int, account: Account) -> str | None:
        """Tell why this run says nothing about the lock."""
        if account.left_out:
            return "some tests were left out"
        if exitstatus != pytest.ExitCode.OK:
            return "the tests did not pass"
        return "a worker ended before it told what it saw" if self._lost else None

    def _account(self) -> Account:
        """Tell what this process saw."""
        reads: dict[str, dict[str, dict[str, set[str]]]] = {}
        emitted: dict[str, list[Emission]] = {}
        for service in services(self._targets):
            seen = seen_of(self._reads, service, self._root)
            reads[service.name] = {
                handler: {place: set(lines) for place, lines in places.items()}
                for handler, places in seen.reads.items()
            }
            settings = service.settings()
            emitted[service.name] = [emission(one, (), settings) for one in seen.emitted]
        return Account(reads=reads, emitted=emitted, left_out=self._deselected)

    def _lock(self, account: Account) -> Lock:
        found: dict[str, ServiceLock] = {}
        for service in services(self._targets):
            seen = Seen(account.reads.get(service.name, {}))
            lock = lock_of(service, self._root, seen)
            found[service.name] = with_emitted(lock, account.emitted.get(service.name, ()))
        return Lock(services=found)

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
