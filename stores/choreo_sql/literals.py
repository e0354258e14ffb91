"""Values as PostgreSQL reads them in a text: elements of an array, and constants of a statement.

An array goes to the server as one text, because the driver looks at each element of a list with
three questions to the interpreter's abstract classes, and, once a connection, at the server's
catalogue for every type of array that it meets there.
"""

from collections.abc import Sequence

NULL = "NULL"


def array(values: Sequence[object]) -> str:
    """Write an array of one dimension; its elements are integers, booleans, text or bytes."""
    return f"{{{','.join(map(_element, values))}}}"


def constant(value: object) -> str:
    """Write a value so that it means the same whatever the server takes a backslash for."""
    if value is None:
        return NULL
    if isinstance(value, int):
        return str(value)
    written = _plain(value)
    if "\0" in written:
        raise ValueError("PostgreSQL takes no text with a NUL")
    return "E'{}'".format(written.replace("\\", r"\\").replace("'", "''"))


def _element(value: object) -> str:
    if value is None:
        return NULL
    if isinstance(value, int):
        return str(value)
    return '"{}"'.format(_plain(value).replace("\\", r"\\").replace('"', r"\""))


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"a {type(value).__name__} is nothing that choreo keeps")
