"""Values as PostgreSQL reads them in a text: elements of an array, and constants of a statement.

An array goes to the server as one text, because the driver looks at each element of a list with
three questions to the interpreter's abstract classes, and, once a connection, at the server's
catalogue for every type of array that it meets there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

NULL = "NULL"


def array(values: Sequence[object]) -> str:
    """Write an array of one dimension; its elements are integers, booleans, text or bytes.

    All are of one type, or NULL.
    """
    if values and values.count(values[0]) == len(values):  # as in most columns of many rows
        return f"{{{','.join([_element(values[0])] * len(values))}}}"
    return _ALIKE.get(frozenset(map(type, values)), _each)(values)


def _each(values: Sequence[object]) -> str:
    return f"{{{','.join(map(_element, values))}}}"


def _texts(values: Sequence[Any]) -> str:
    """Write texts all at once, a NUL between them meanwhile, which PostgreSQL has in no text."""
    joined = "\0".join(values)
    if joined.count("\0") >= len(values):
        return _each(values)  # which the server refuses, and tells whose it is
    quoted = joined.replace("\\", r"\\").replace('"', r"\"").replace("\0", '","')
    return f'{{"{quoted}"}}'


def _bytes(values: Sequence[Any]) -> str:
    hexed = r'","\\x'.join([value.hex() for value in values])
    return rf'{{"\\x{hexed}"}}'


def _numbers(values: Sequence[Any]) -> str:
    return f"{{{','.join(map(str, values))}}}"


_ALIKE: Mapping[frozenset[type], Callable[[Sequence[Any]], str]] = {
    frozenset((str,)): _texts,
    frozenset((bytes,)): _bytes,
    frozenset((int,)): _numbers,
}
"""What writes values of one type, and no NULL, with fewer calls."""


def constant(value: object) -> str:
    """Write a value so that it means the same whatever the server takes a backslash for."""
    if value is None:
        return NULL
    if type(value) is int:
        return str(value)
    text = _text(value)
    if text is None:
        return _bare(value)
    if "\0" in text:
        raise ValueError("PostgreSQL takes no text with a NUL")
    if "\\" in text or "'" in text:
        text = text.replace("\\", r"\\").replace("'", "''")
    return f"E'{text}'"


def _element(value: object) -> str:
    text = _text(value)
    if text is None:
        return _bare(value)
    return '"{}"'.format(text.replace("\\", r"\\").replace('"', r"\""))


def _text(value: object) -> str | None:
    """Return what stands between quotes; None for what has none."""
    if isinstance(value, bytes):
        return rf"\x{value.hex()}"
    return value if isinstance(value, str) else None


def _bare(value: object) -> str:
    if value is None:
        return NULL
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is nothing that choreo keeps")
