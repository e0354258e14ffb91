"""Who has started whom, as the kernel tells (proc(5), fields 3 and 4 of ``stat``)."""

from collections.abc import Mapping
from pathlib import Path


def parents() -> Mapping[int, int]:
    """Tell the parent of every process that is not over yet."""
    found: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(file.parent.name)] = int(fields[1])
    return found


def children(parent: int) -> set[int]:
    """List what a process has started."""
    return {child for child, its_parent in parents().items() if its_parent == parent}


def descendants(parent: int) -> set[int]:
    """List what a process has started, and what those have, and so on."""
    known, found = parents(), {parent}
    while more := {child for child, its in known.items() if its in found} - found:
        found |= more
    return found - {parent}
