"""What a person sees of a run, drawn by Rich."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.order_fulfilment.display import Advance, Display
from examples.order_fulfilment.outcomes import Outcomes


class RichDisplay:
    """Draws on the terminal."""

    def __init__(self) -> None:
        self._console = Console()

    @contextmanager
    def progress(self, total: int, /) -> Generator[Advance]:
        """Draw a bar."""
        columns = (TextColumn("records"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task("records", total=total)
            yield lambda count: bar.advance(task, count)

    def table(self, result: Outcomes, /) -> None:
        """Draw a table."""
        table = Table("outcome", title="What became of the orders")
        table.add_column("records", justify="right")
        for name, count in result.ends.items():
            table.add_row(name, str(count))
        table.add_section()
        table.add_row("records fed", str(result.fed))
        self._console.print(table)


_: type[Display] = RichDisplay
