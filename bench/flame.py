"""Where choreo's time goes in a measure: a sampling profile, as a tree of text.

Each millisecond of processor time of this process the main thread is asked what it is at.  What
other threads use, such as a database's driver, is seen where the main thread waits for it.
"""

import signal
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import PurePath
from types import CodeType, FrameType

SECONDS = 0.001
LEAST = 0.02
"""Share of all samples below which a branch is left out."""
OUTSIDE = (" (asyncio)", " (bench)", " (-)")
"""Ends of the names of functions that are left out where they only lead to others."""
PACKAGES = ("choreo", "asyncio", "bench")
FOLDERS = ("site-packages", "brokers")
"""Folders of packages."""

Stack = tuple[str, ...]
Tree = dict[str, "Branch"]


class Branch:
    """One function as called from those above it."""

    def __init__(self) -> None:
        self.samples = 0
        self.below: Tree = {}


class Flames:
    """The stacks that were met, by measure."""

    def __init__(self) -> None:
        self._met: dict[str, Counter[Stack]] = {}

    @contextmanager
    def lit(self, name: str) -> Generator[None]:
        """Sample the running process for the measure *name* within the block."""
        met = self._met.setdefault(name, Counter())

        def sample(_: int, frame: FrameType | None) -> None:
            met[stack_of(frame)] += 1

        before = signal.signal(signal.SIGPROF, sample)
        signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.signal(signal.SIGPROF, before)

    def text(self) -> str:
        """Draw a tree for each measure."""
        return "\n\n".join("\n".join((name, *drawn(met))) for name, met in self._met.items())


def stack_of(frame: FrameType | None) -> Stack:
    """Name the functions that are being called, the outermost first."""
    names: list[str] = []
    while frame is not None:
        names.append(_named(frame.f_code))
        frame = frame.f_back
    inner = dropwhile(lambda name: name.endswith(OUTSIDE), reversed(names))
    return tuple(name.removesuffix(" (choreo)") for name in inner)


def drawn(met: Mapping[Stack, int]) -> Iterator[str]:
    """Draw the branches that have their share of all samples, the largest first."""
    root = Branch()
    for stack, count in met.items():
        branch = root
        branch.samples += count
        for name in stack:
            branch = branch.below.setdefault(name, Branch())
            branch.samples += count
    yield from _lines(root, root.samples, 0)


def _lines(branch: Branch, of: int, depth: int) -> Iterator[str]:
    for name, below in sorted(branch.below.items(), key=lambda each: -each[1].samples):
        if below.samples >= of * LEAST:
            yield f"{'  ' * depth}{below.samples / of:4.0%} {name}"
            yield from _lines(below, of, depth + 1)


def _named(code: CodeType) -> str:
    """Name a function and the package it is of; "-" for what Python makes at run time."""
    *folders, _ = PurePath(code.co_filename).parts
    installed = [folders[at + 1] for at, each in enumerate(folders) if each in FOLDERS]
    known = [each for each in folders if each in PACKAGES]
    found = installed or known or folders
    return f"{code.co_qualname} ({found[-1] if found else '-'})"
