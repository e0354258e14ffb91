"""``choreo store …``: the tables of a service's store."""

# ruff: noqa: PLC0415 -- see application.py

from typing import Literal

import typer

from choreo.cli.failure import reporting
from choreo.cli.group import CommandGroup
from choreo.cli.options import Debug, Json, StoreUrl, complete

app = typer.Typer(
    help="Make, check and migrate the tables of a store.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,
)


@app.command()
def init(store: StoreUrl = None, json: Json = False, debug: Debug = False) -> None:
    """Make the tables where there are none; what is there stays as it is."""
    _run("init", store, json=json, debug=debug)


@app.command()
def check(store: StoreUrl = None, json: Json = False, debug: Debug = False) -> None:
    """Compare the tables with what this version works with; end with 3 unless they fit."""
    _run("check", store, json=json, debug=debug)


@app.command()
def upgrade(store: StoreUrl = None, json: Json = False, debug: Debug = False) -> None:
    """Make the tables, or bring those of an older version up to this one."""
    _run("upgrade", store, json=json, debug=debug)


def _run(
    task: Literal["init", "check", "upgrade"], store: str | None, *, json: bool, debug: bool
) -> None:
    with reporting(json=json, debug=debug):
        from choreo.cli import tables

        complete(tables.work(task, store, json=json), json=json, debug=debug)
