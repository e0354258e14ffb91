"""What processes wrote while they ran: one JSON object a line, appended, one file a process.

A process that was killed leaves a file whose last line may be cut off, and whose end is missing.
So files are what processes *say*; the broker's log and the rows of the database outrank them.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

Kind = Literal[
    # whoever publishes
    "publish_invoke",
    "publish_ok",
    "publish_refused",
    "publish_unknown",
    # a consumer
    "deliver",
    "decode_fail",
    "handle_start",
    "handle_end",  # result: ok, err or cancel
    "effect",
    "emit",
    "dedupe_hit",
    "buffer_in",  # result: stored, where the broker need not keep it any more
    "buffer_out",
    "skip",  # given up on purpose, and recorded: filtered, expired, late, a number passed over
    "dlq_invoke",
    "dlq_ok",
    "replay",  # from the dead letters, back to its handler
    "ack",
    "stale_ack",
    "commit",  # a group's place: everything before *offset* is done
    "assign",
    "revoke",
    "timer_set",
    "timer_fire",
    "timer_cancel",
    "saga_step",
    # the driver
    "proc_start",
    "proc_kill",
    "proc_stop",
    "sample",
    "fault_start",
    "fault_end",
    "heal",
    "finish",  # quiet, and everybody was asked to stop
]
KINDS: frozenset[str] = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that one process did, or that was done to it."""

    at: float
    """Seconds of a clock that all processes share and nobody sets: CLOCK_MONOTONIC."""
    kind: Kind
    proc: str = ""
    incarnation: int = 0
    """Which life of the process: every start is one more."""
    service: str = ""
    handler: str = ""
    topic: str = ""
    id: str = ""
    """The event's; of a timer, its name; of a saga's step, the instance."""
    key: str = ""
    seq: int = 0
    """Number within the key, from 1; 0 for an event without."""
    corr: str = ""
    cause: str = ""
    tp: str = ""
    """Topic and partition, as brokers name a stream."""
    offset: int = -1
    attempt: int = 0
    epoch: int = 0
    """Of an assignment or a connection."""
    result: str = ""
    payload: str = ""
    """Digest of the payload."""
    value: float = 0.0
    """Seconds until a retry, the moment at which a timer is due, or what was measured."""
    text: str = ""

    @property
    def who(self) -> str:
        """Name the process and its life."""
        return f"{self.proc}@{self.incarnation}" if self.proc else ""

    def __str__(self) -> str:
        """Tell it in one line."""
        told = [
            f"{one.name}={value}"
            for one in fields(self)
            if one.name not in {"at", "kind", "proc", "incarnation", "text"}
            and (value := getattr(self, one.name)) != one.default
        ]
        line = [f"{self.at:12.4f}", f"{self.who:<14}", f"{self.kind:<15}", *told, self.text]
        return " ".join(filter(None, line))

    def line(self) -> str:
        """Write it as a line of JSON, without what is not said."""
        said = {
            one.name: value
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default
        }
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def read(cls, line: str) -> Self | None:
        """Read a line; None for one that was cut off, or is of a kind nobody knows."""
        try:
            said = json.loads(line)
        except ValueError:
            return None
        if not isinstance(said, dict):
            return None
        known: dict[str, Any] = {name: said[name] for name in NAMES if name in said}
        return cls(**known) if known.get("kind") in KINDS and "at" in known else None


NAMES = tuple(one.name for one in fields(Entry))


def read_entries(files: Iterable[Path]) -> list[Entry]:
    """Read what all processes wrote, merged by time."""
    found: list[Entry] = []
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as lines:
            found.extend(entry for line in lines if (entry := Entry.read(line)) is not None)
    return sorted(found, key=lambda entry: entry.at)


class Scribe:
    """Appends entries to one file; what was written survives this process."""

    def __init__(self, file: Path, **always: str | int) -> None:
        """Write *always* (proc, incarnation, service) into every entry."""
        self._always: Mapping[str, Any] = always
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, kind: Kind, at: float, **said: str | float) -> None:
        """Append one entry; in the file when this returns."""
        self.write_all((self.entry(kind, at, **said),))

    def entry(self, kind: Kind, at: float, **said: str | float) -> Entry:
        """Make an entry of this process."""
        facts: dict[str, Any] = {**self._always, **said}
        return Entry(at=at, kind=kind, **facts)

    def write_all(self, entries: Sequence[Entry]) -> None:
        """Append several in one write, so that no kill parts them."""
        os.write(self._file, "".join(f"{entry.line()}\n" for entry in entries).encode())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
