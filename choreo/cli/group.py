"""A group of commands, whose help says of each what it does in one whole sentence."""

from typing import Any

from typer import Context
from typer.core import TyperGroup


class CommandGroup(TyperGroup):
    """Tells the first paragraph of each command's help; typer cuts it off where a line ends."""

    def format_commands(self, ctx: Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ANN401 -- of a click that typer keeps to itself
        """Write a line, or several, for each command."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        told = [
            (name, " ".join((command.help or "").split("\n\n", 1)[0].split()))
            for name, command in found
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(told)
