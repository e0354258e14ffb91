"""The subjects, versions and schemas of a registry, kept in SQLite; in memory or in a file."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from threading import RLock
from uuid import UUID

from pydantic import JsonValue

from choreo.contracts.compatibility import Version, judge
from choreo.contracts.mode import Mode
from choreo.contracts.schema import Schema, read_schema
from choreo.errors import ConfigurationError
from choreo.registry.local.refusal import (
    incompatible,
    invalid_schema,
    no_level,
    no_schema,
    no_subject,
    no_version,
)
from choreo.registry.references import inlined

DEFAULT = Mode.BACKWARD
"""What is asked of subjects for which nobody has said otherwise."""
EVERY = ""
"""Stands in the table of levels for all subjects."""

_TABLES = """
CREATE TABLE IF NOT EXISTS schemas (
  id INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
  referring TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
  subject TEXT NOT NULL, version INTEGER NOT NULL, id INTEGER NOT NULL REFERENCES schemas,
  PRIMARY KEY (subject, version));
CREATE TABLE IF NOT EXISTS levels (subject TEXT PRIMARY KEY, level TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in a schema that a version of another subject defines."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A schema as it came."""

    text: str
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one subject."""

    subject: str
    version: int
    id: int
    guid: str
    text: str
    references: tuple[Reference, ...]


class Shelf:
    """Keeps schemas; every method raises Refusal for what it does not have or will not take."""

    def __init__(self, database: Path | None = None) -> None:
        # One connection, used by one thread at a time: see the lock.
        self._database = sqlite3.connect(str(database or ":memory:"), check_same_thread=False)
        self._lock = RLock()
        with self._lock, self._database:
            self._database.executescript(_TABLES)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def register(self, subject: str, draft: Draft) -> Entry:
        """Give *draft* its place among the versions of *subject*, unless it has one."""
        schema = self._schema(draft)
        text = _normal(draft.text)
        with self._lock, self._database:
            entries = self._entries(subject)
            for entry in entries:
                if (entry.text, entry.references) == (text, draft.references):
                    return entry
            problems = self._problems(schema, entries, self._level_of(subject))
            if problems:
                raise incompatible("; ".join(problems))
            identity = self._identity(text, draft.references)
            version = entries[-1].version + 1 if entries else 1
            self._database.execute(
                "INSERT INTO versions VALUES (?, ?, ?)", (subject, version, identity)
            )
            return self._entries(subject)[-1]

    def find(self, subject: str, draft: Draft) -> Entry:
        """Tell the version of *subject* that says the same as *draft*."""
        self._schema(draft)
        text = _normal(draft.text)
        for entry in self._known(subject):
            if (entry.text, entry.references) == (text, draft.references):
                return entry
        raise no_schema()

    def by_id(self, identity: int) -> Draft:
        """Return a schema by its id."""
        return self._draft("id = ?", identity)

    def by_guid(self, guid: str) -> tuple[int, Draft]:
        """Return a schema and its id by its GUID."""
        with self._lock:
            row = self._database.execute("SELECT id FROM schemas WHERE guid = ?", (guid,))
            found = row.fetchone()
        if found is None:
            raise no_schema()
        return found[0], self.by_id(found[0])

    def by_version(self, subject: str, version: int | None) -> Entry:
        """Return one version of *subject*, the latest for None."""
        entries = self._known(subject)
        if version is None:
            return entries[-1]
        for entry in entries:
            if entry.version == version:
                return entry
        raise no_version(version)

    def subjects(self) -> list[str]:
        """List the subjects."""
        with self._lock:
            rows = self._database.execute("SELECT DISTINCT subject FROM versions ORDER BY subject")
            return [subject for (subject,) in rows]

    def versions(self, subject: str) -> list[int]:
        """List the versions of *subject*."""
        return [entry.version for entry in self._known(subject)]

    def problems(
        self, subject: str, draft: Draft, version: int | None, *, every: bool
    ) -> list[str]:
        """Tell why *draft* may not follow in *subject*, after one version, the latest, or all."""
        schema = self._schema(draft)
        entries = self._known(subject) if every else [self.by_version(subject, version)]
        return self._problems(schema, entries, self._level_of(subject))

    def level(self, subject: str, *, own: bool = True) -> Mode:
        """Tell the compatibility of *subject*: its own, or what holds for it."""
        if not own:
            return self._level_of(subject)
        with self._lock:
            row = self._database.execute("SELECT level FROM levels WHERE subject = ?", (subject,))
            found = row.fetchone()
        if found is not None:
            return Mode(found[0])
        if subject == EVERY:
            return DEFAULT
        raise no_level(subject)

    def set_level(self, subject: str, level: Mode) -> None:
        """Ask for another compatibility of *subject*."""
        with self._lock, self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO levels VALUES (?, ?)", (subject, level.value)
            )

    # -- within -------------------------------------------------------------------------------

    def _level_of(self, subject: str) -> Mode:
        with self._lock:
            rows = self._database.execute(
                "SELECT subject, level FROM levels WHERE subject IN (?, ?)", (subject, EVERY)
            )
            found = dict(rows.fetchall())
        return Mode(found.get(subject) or found.get(EVERY) or DEFAULT)

    def _known(self, subject: str) -> Sequence[Entry]:
        entries = self._entries(subject)
        if not entries:
            raise no_subject(subject)
        return entries

    def _entries(self, subject: str) -> Sequence[Entry]:
        with self._lock:
            rows = self._database.execute(
                "SELECT version, id, guid, text, referring FROM versions JOIN schemas USING (id) "
                "WHERE subject = ? ORDER BY version",
                (subject,),
            ).fetchall()
        return [
            Entry(subject, version, identity, guid, text, _read_references(referring))
            for version, identity, guid, text, referring in rows
        ]

    def _draft(self, condition: str, value: object) -> Draft:
        with self._lock:
            row = self._database.execute(
                f"SELECT text, referring FROM schemas WHERE {condition}",  # noqa: S608 -- our own
                (value,),
            ).fetchone()
        if row is None:
            raise no_schema()
        return Draft(row[0], _read_references(row[1]))

    def _identity(self, text: str, references: tuple[Reference, ...]) -> int:
        referring = _write_references(references)
        guid = str(UUID(bytes=md5(f"{text}{referring}".encode(), usedforsecurity=False).digest()))
        self._database.execute(
            "INSERT OR IGNORE INTO schemas (guid, text, referring) VALUES (?, ?, ?)",
            (guid, text, referring),
        )
        row = self._database.execute("SELECT id FROM schemas WHERE guid = ?", (guid,))
        return int(row.fetchone()[0])

    def _problems(self, schema: Schema, entries: Sequence[Entry], level: Mode) -> list[str]:
        earlier = [
            Version(entry.version, self._schema(Draft(entry.text, entry.references)))
            for entry in entries
        ]
        return [
            f"{one.direction} with version {one.earlier} at {one.at}: {one.kind}, "
            f"{one.was or 'nothing'} was and {one.now or 'nothing'} is"
            for one in judge(schema, earlier, level).breaks
        ]

    def _schema(self, draft: Draft) -> Schema:
        try:
            return read_schema(self._whole(draft, 0))
        except (ConfigurationError, ValueError, RecursionError) as error:
            raise invalid_schema(str(error)) from error

    def _whole(self, draft: Draft, depth: int) -> JsonValue:
        if depth > MAX_REFERENCES:
            raise ValueError("references lead too far")
        referred: dict[str, JsonValue] = {}
        for one in draft.references:
            entry = self.by_version(one.subject, one.version)
            inner = Draft(entry.text, entry.references)
            referred[one.name] = self._whole(inner, depth + 1)
        schema: JsonValue = json.loads(draft.text)
        return inlined(schema, referred) if referred else schema


MAX_REFERENCES = 16
"""Steps from schema to schema."""


def _normal(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def _write_references(references: tuple[Reference, ...]) -> str:
    return json.dumps([[one.name, one.subject, one.version] for one in references])


def _read_references(text: str) -> tuple[Reference, ...]:
    return tuple(Reference(*one) for one in json.loads(text))
