"""Many rows as one parameter set: arrays on PostgreSQL, JSON on SQLite.

The text of the statement does not depend on how many rows there are, so that it is compiled and
planned once, and the number of parameters is never at its limit.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import LargeBinary, String, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import Label
from sqlalchemy.sql.selectable import FromClause
from sqlalchemy.types import TypeEngine

from choreo_sql.literals import array

PLACE = "place"
"""Column that every set of rows has besides its own: the index of the row, from 0."""


class Rows:
    """A set of rows that a statement may join, or insert from: ``Rows("ends", id=Name, …)``.

    Bytes must have the length that their ``LargeBinary`` says.
    """

    def __init__(self, name: str, **columns: TypeEngine[Any]) -> None:
        self._name = name
        self._columns = columns
        self.names: Sequence[str] = tuple(columns)
        """The columns, in declared order."""
        self._packed = {
            place: (self._parameter(column), kind.length)
            for place, (column, kind) in enumerate(columns.items())
            if isinstance(kind, LargeBinary)
        }
        """Where there are bytes, which JSON does not take: their parameter, and their length."""

    def of(self, dialect: str) -> FromClause:
        """Return what stands for the rows in a statement: its columns and ``place``."""
        return self._arrays() if dialect == "postgresql" else self._json()

    def bind(self, dialect: str, rows: Sequence[Sequence[object]]) -> Mapping[str, object]:
        """Make the parameters of a statement over *rows*, whose values are in declared order."""
        if dialect == "postgresql":
            values = list(zip(*rows, strict=True)) or [()] * len(self._columns)
            return {
                self._parameter(name): array(column_values)
                for name, column_values in zip(self._columns, values, strict=True)
            }
        bound: dict[str, object] = {}
        plain = list(map(list, rows))
        for place, (parameter, length) in self._packed.items():
            bound[parameter] = _joined(rows, place, length)
            for row in plain:
                row[place] = None
        bound[self._name] = json.dumps(plain)
        return bound

    def _parameter(self, column_name: str) -> str:
        return f"{self._name}_{column_name}"

    def _arrays(self) -> FromClause:
        arrays = (
            cast(bindparam(self._parameter(name), type_=Text()), ARRAY(_in_array(kind)))
            for name, kind in self._columns.items()
        )
        unnested = (
            func.unnest(*arrays)
            .table_valued(
                *(column(name, kind) for name, kind in self._columns.items()),
                with_ordinality="nth",
                name=f"{self._name}_arrays",
            )
            .render_derived()
        )
        own = (unnested.c[name] for name in self._columns)
        return select(*own, (unnested.c.nth - 1).label(PLACE)).subquery(self._name)

    def _json(self) -> FromClause:
        each = func.json_each(bindparam(self._name, type_=String())).table_valued("key", "value")
        own: list[Label[Any]] = []
        for place, (name, kind) in enumerate(self._columns.items()):
            if isinstance(kind, LargeBinary) and kind.length:
                packed = bindparam(self._parameter(name), type_=LargeBinary())
                value = func.substr(packed, 1 + each.c.key * kind.length, kind.length)
            else:
                value = func.json_extract(each.c.value, f"$[{place}]")
            own.append(value.label(name))
        return select(*own, each.c.key.label(PLACE)).subquery(self._name)


def _in_array(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return *kind* as elements have it: a collation is the column's."""
    return Text() if isinstance(kind, String) else kind


def _joined(rows: Sequence[Sequence[object]], place: int, length: int | None) -> bytes:
    """Lay the bytes of one column one behind the other, where their length finds them again."""
    values = [value for row in rows if isinstance(value := row[place], bytes)]
    if len(values) != len(rows) or any(len(value) != length for value in values):
        raise ValueError(f"column {place}: not {length} bytes in every row")
    return b"".join(values)
