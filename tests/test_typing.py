"""Wrong use is rejected by the type checkers, and right use is not.

Each file in tests/typing/ is checked and never run. A line that must be rejected ends in a comment
saying by whom: `# error` by both, `# error: mypy` or `# error: pyright` by that one alone, with
` -- reason` after it where the reason is not plain. Every other line must pass both.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
CASES = sorted((ROOT / "tests" / "typing").glob("*.py"))
EXPECTATION = re.compile(r"#\s*error(?::\s*(?P<checker>mypy|pyright))?\s*(?:--.*)?$")
CHECK_BUDGET = 300.0


class Line(NamedTuple):
    """A place in a case, as both checkers name it."""

    file: Path
    number: int


Complaints = Mapping[Line, str]


@pytest.mark.slow
@pytest.mark.timeout(2 * CHECK_BUDGET)
def test_the_checkers_reject_exactly_the_marked_lines(tmp_path: Path) -> None:
    assert CASES
    assert list(disagreements(CASES, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.timeout(2 * CHECK_BUDGET)
def test_a_missing_and_an_unmarked_error_are_both_reported(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text('a: int = 1  # error\nb: int = "2"\nc: int = "3"  # error: mypy -- so far\n')
    right = tmp_path / "right.py"
    right.write_text('a: int = 1\nb: int = "2"  # error\n')

    reported = [text.split(": ")[:2] for text in disagreements([right, wrong], tmp_path)]

    assert reported == [
        ["wrong.py:1", "mypy accepts what it must reject"],
        ["wrong.py:2", "mypy rejects what it must accept"],
        ["wrong.py:1", "pyright accepts what it must reject"],
        ["wrong.py:2", "pyright rejects what it must accept"],
        ["wrong.py:3", "pyright rejects what it must accept"],
    ]


def disagreements(files: Sequence[Path], scratch: Path) -> Iterator[str]:
    """Yield each line on which a checker and its mark are of different minds."""
    for checker, complaints in (
        ("mypy", mypy_complaints(files, scratch)),
        ("pyright", pyright_complaints(files, scratch)),
    ):
        expected = set(expectations(files, checker))
        for line in sorted(expected ^ complaints.keys()):
            where = f"{line.file.name}:{line.number}"
            if line in expected:
                yield f"{where}: {checker} accepts what it must reject"
            else:
                yield f"{where}: {checker} rejects what it must accept: {complaints[line]}"


def expectations(files: Sequence[Path], checker: str) -> Iterator[Line]:
    for file in files:
        for number, text in enumerate(file.read_text().splitlines(), start=1):
            mark = EXPECTATION.search(text)
            if mark is not None and mark["checker"] in {None, checker}:
                yield Line(file, number)


def mypy_complaints(files: Sequence[Path], scratch: Path) -> Complaints:
    # The cache goes by module names, and would report files of an earlier run's scratch as ours.
    own = all(file.is_relative_to(ROOT) for file in files)
    cache = ROOT / ".mypy_cache" if own else scratch / "cache"
    output = run("mypy", "--output=json", f"--cache-dir={cache}", *map(str, files))
    findings: list[dict[str, Any]] = [
        json.loads(line) for line in output.splitlines() if line.startswith("{")
    ]
    return {
        Line(ROOT / finding["file"], finding["line"]): finding["message"]
        for finding in findings
        if finding["severity"] == "error"
    }


def pyright_complaints(files: Sequence[Path], scratch: Path) -> Complaints:
    settings: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
        "pyright"
    ]
    settings |= {
        "include": [os.path.relpath(file, scratch) for file in files],  # no absolute paths
        "exclude": [],
        "extraPaths": [str(ROOT), str(ROOT / "brokers")],
        "venvPath": str(ROOT),
    }
    project = scratch / "pyrightconfig.json"
    project.write_text(json.dumps(settings))
    report = json.loads(run("pyright", "--outputjson", "--project", str(project)))
    return {
        Line(Path(finding["file"]), finding["range"]["start"]["line"] + 1): finding["message"]
        for finding in report["generalDiagnostics"]
        if finding["severity"] == "error"
    }


def run(checker: str, *arguments: str) -> str:
    """Return what the checker printed; raise when it could not check at all."""
    done = subprocess.run(
        [sys.executable, "-m", checker, *arguments],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        timeout=CHECK_BUDGET,
    )
    assert done.returncode in {0, 1}, f"{checker} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
