"""``choreo catalogue …``: the events of many services as pages for people."""

# ruff: noqa: PLC0415 -- see application.py

from pathlib import Path
from typing import Annotated

import typer

from choreo.cli.failure import reporting
from choreo.cli.group import CommandGroup
from choreo.cli.options import Debug, Json, LockFiles

app = typer.Typer(
    help="Write down the events there are, and whom they concern.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,
)


@app.callback()
def catalogue() -> None:
    """Write down which events there are, who writes them and who reads what of them."""


@app.command()
def build(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODULE:SERVICE|MODULE:EVENT", help="What is described."),
    ] = None,
    locks: LockFiles = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder, made if it is not there.")
    ] = Path("catalogue"),
    title: Annotated[str, typer.Option(help="Heads the first page.")] = "Events",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the catalogue as Markdown and as static HTML, each page beside the other."""
    with reporting(json=json, debug=debug):
        from choreo.cli import describing

        request = describing.Request(targets=targets or (), locks=locks or (), json=json)
        describing.catalogue(request, output, title)
