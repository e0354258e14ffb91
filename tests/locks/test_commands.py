"""``choreo contracts can-deploy`` over files, folders and commits of locks."""

import subprocess
from pathlib import Path

import pytest

from choreo.cli.exit_codes import ExitCode
from choreo.contracts.lock import Lock, ServiceLock, lock_text
from tests.cli.program import Commands, Outcome
from tests.locks.test_deployment import ID, takes, writes

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(name="choreo")
def _choreo(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def lock(path: Path, **services: ServiceLock) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(lock_text(Lock(services=services)))
    return str(path)


def deploying(choreo: Commands, *arguments: str) -> Outcome:
    return choreo.run("contracts", "can-deploy", *arguments)


def test_locks_of_a_folder_are_what_runs(choreo: Commands) -> None:
    lock(choreo.folder / "running" / "billing.lock", billing=takes())
    lock(choreo.folder / "running" / "orders.lock", orders=writes())
    new = lock(choreo.folder / "choreo.lock", orders=writes(ID, version=2))

    same = deploying(choreo, "running/orders.lock", "--deployed", "running")
    outcome = deploying(choreo, new, "--deployed", "running")

    assert (same.code, same.out) == (0, "deploy     orders: in any order\n")
    assert outcome.code == ExitCode.CONFIGURATION
    assert outcome.out.splitlines()[:5] == [
        "refused    Placed v2: orders → billing",
        "    the whole (version): was v1, now v2",
        "        billing.charge takes the event: billing.py:5",
        "        fix: give billing a handler of v2, and deploy it first",
        "    total (default): was long without default, now nothing",
    ]
    assert "billing.charge reads it: billing.py:7" in outcome.out
    assert "do not deploy orders" in outcome.err


def test_a_commit_says_what_runs_of_the_same_files(choreo: Commands) -> None:
    def git(*arguments: str) -> None:
        name = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *name, *arguments], cwd=choreo.folder, check=True)

    orders = lock(choreo.folder / "orders" / "choreo.lock", orders=writes())
    billing = lock(choreo.folder / "billing" / "choreo.lock", billing=takes())
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "what runs")
    lock(choreo.folder / "orders" / "choreo.lock", orders=writes(version=2))
    lock(choreo.folder / "billing" / "choreo.lock", billing=takes(version=2, upcasts=[1]))

    outcome = deploying(choreo, orders, billing, "--against", "main", "--json")
    unknown = deploying(choreo, orders, "--against", "nowhere", "--json")

    assert outcome.code == 0
    *waiting, verdict = outcome.objects
    assert [(one["first"], one["then"], one["kind"]) for one in waiting] == [
        ("billing", "orders", "version")
    ]
    assert verdict["order"] == ["billing", "orders"]
    assert (unknown.code, unknown.error["kind"]) == (3, "ConfigurationError")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nowhere.lock",), 3, "cannot be read"),
        (("choreo.lock", "--deployed", "empty"), 6, "no locks in empty"),
        (("choreo.lock", "other.lock"), 3, "the service orders is locked in"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_judged_is_said(
    choreo: Commands, arguments: tuple[str, ...], code: int, told: str
) -> None:
    (choreo.folder / "empty").mkdir()
    lock(choreo.folder / "choreo.lock", orders=writes())
    lock(choreo.folder / "other.lock", orders=writes())

    outcome = deploying(choreo, *arguments)

    assert outcome.code == code
    assert told in " ".join(outcome.err.split())


def test_a_contract_that_the_lock_tells_and_that_is_not_there_is_named(choreo: Commands) -> None:
    lock(choreo.folder / "choreo.lock", orders=writes(ID, version=2))
    services = '[tool.pytest.ini_options]\nchoreo_services = ["shop:orders", "shop:billing"]\n'

    unknown = choreo.run("contracts", "check")
    (choreo.folder / "pyproject.toml").write_text(services)
    known = choreo.run("contracts", "check", "--json")

    assert (unknown.code, known.code) == (ExitCode.CONFIGURATION, ExitCode.CONFIGURATION)
    assert unknown.out.splitlines() == [
        "missing    schemas/orders/Placed/2.avsc  Placed.v2 of orders, as choreo.lock tells",
        "    choreo contracts export MODULE:SERVICE, where orders is declared",
    ]
    (told,) = known.objects
    assert told["path"] == "schemas/orders/Placed/2.avsc"
    assert told["command"] == "choreo contracts export shop:orders shop:billing"


def test_what_the_lock_tells_and_is_there_is_not_named(choreo: Commands) -> None:
    lock(choreo.folder / "choreo.lock", orders=writes(ID))
    path = choreo.folder / "schemas" / "orders" / "Placed" / "1.avsc"
    path.parent.mkdir(parents=True)
    path.write_text('{"type": "record", "name": "Placed", "fields": []}')

    assert choreo.run("contracts", "check").code == ExitCode.OK
