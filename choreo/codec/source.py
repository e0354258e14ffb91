"""Python source that is written line by line and compiled at once, as readers and writers are."""

from collections.abc import Mapping

MAX_LINES = 2_000
"""Of source; what takes more is left to the library."""


class Unsaid(Exception):
    """What is left to the library."""


class Source:
    """The lines of one function, and what it names besides what every such function does."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._count = 0
        self._constants: dict[str, object] = {}

    def put(self, depth: int, line: str) -> None:
        """Write a line; raise Unsaid for one too many."""
        if len(self._lines) >= MAX_LINES:
            raise Unsaid
        self._lines.append(" " * depth + line)

    def name(self) -> str:
        """Make up the name of a variable."""
        self._count += 1
        return f"v{self._count}"

    def constant(self, value: object) -> str:
        """Give a value a name."""
        name = f"K{len(self._constants)}"
        self._constants[name] = value
        return name

    def compiled(self, function: str, origin: str, known: Mapping[str, object]) -> object:
        """Compile the lines, and return the function of that name that they define.

        Raises SyntaxError, RecursionError or MemoryError for what Python does not take.
        """
        names = {**known, **self._constants}
        exec(compile("\n".join(self._lines), origin, "exec"), names)  # noqa: S102 -- literals only
        return names[function]
