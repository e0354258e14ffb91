"""Where two schemas of one event differ, place by place; words for people are no difference."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from choreo.contracts.canonical import canonical

_WORDS = frozenset({"deprecated", "doc"})


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands for what one of two schemas does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place at which a committed schema and the class's own differ."""

    at: str
    """As a path: ``/fields/total/type/scale``; lists of named things are walked by name."""
    committed: JsonValue | Absent
    derived: JsonValue | Absent

    def __str__(self) -> str:
        """Tell it in one line."""
        if isinstance(self.derived, Absent):
            return f"{self.at}: only in the file"
        if isinstance(self.committed, Absent):
            return f"{self.at}: only in the class"
        return (
            f"{self.at}: {_short(self.committed)} in the file, {_short(self.derived)} in the class"
        )


def differences(committed: JsonValue, derived: JsonValue) -> list[Difference]:
    """List the places at which two schemas differ, in the order of the committed one."""
    return list(_differences(canonical(committed), canonical(derived), ""))


def rewordings(committed: JsonValue, derived: JsonValue) -> list[Difference]:
    """List the places at which two schemas that mean the same say other words to people."""
    found = _differences(committed, derived, "")
    return [one for one in found if one.at.rpartition("/")[2] in _WORDS]


def _differences(was: JsonValue, now: JsonValue, where: str) -> Iterator[Difference]:
    if isinstance(was, dict) and isinstance(now, dict):
        yield from _by_name(was, now, where, values=("default",))
    elif isinstance(was, list) and isinstance(now, list):
        yield from _between_lists(was, now, where)
    elif was != now or type(was) is not type(now):
        yield Difference(at=where or "/", committed=was, derived=now)


def _between_lists(was: list[JsonValue], now: list[JsonValue], where: str) -> Iterator[Difference]:
    ours, theirs = _named(was), _named(now)
    yield from _by_name(ours, theirs, where)
    if ours.keys() == theirs.keys() and list(ours) != list(theirs):
        yield Difference(at=f"{where} (order)", committed=[*ours], derived=[*theirs])


def _by_name(
    was: dict[str, JsonValue],
    now: dict[str, JsonValue],
    where: str,
    *,
    values: Collection[str] = (),
) -> Iterator[Difference]:
    """Compare what has equal names; below those of *values* there is no schema, but a value."""
    for name in [*was, *(name for name in now if name not in was)]:
        at = f"{where}/{name}"
        if name not in now:
            yield Difference(at=at, committed=was[name], derived=Absent())
        elif name not in was:
            yield Difference(at=at, committed=Absent(), derived=now[name])
        elif name not in values:
            yield from _differences(was[name], now[name], at)
        elif not _equal(was[name], now[name]):
            yield Difference(at=at, committed=was[name], derived=now[name])


def _equal(was: JsonValue, now: JsonValue) -> bool:
    """Tell whether two values are one: JSON has one sort of number, and true is none of it."""
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(_equal, was, now))
    if isinstance(was, dict) and isinstance(now, dict):
        return was.keys() == now.keys() and all(_equal(was[name], now[name]) for name in was)
    return was == now and isinstance(was, bool) is isinstance(now, bool)


def _named(parts: list[JsonValue]) -> dict[str, JsonValue]:
    """Give each part the name it has, or its number: a field put in between moves no other."""
    result: dict[str, JsonValue] = {}
    for index, part in enumerate(parts):
        name = part.get("name") if isinstance(part, dict) else None
        result[name if isinstance(name, str) and name not in result else str(index)] = part
    return result


def _short(value: JsonValue | Absent) -> str:
    """Show a value on one line; of a part with a name the name is enough."""
    if isinstance(value, dict):
        return str(value.get("name") or value.get("logicalType") or value.get("type"))
    if isinstance(value, list):
        return f"[{', '.join(_short(part) for part in value)}]"
    return repr(value) if isinstance(value, str) else str(value)
