"""``choreo parked …``: the commands for events that wait in the store, and their options."""

# ruff: noqa: PLC0415 -- see application.py

from typing import Annotated

import typer

from choreo.cli.failure import reporting
from choreo.cli.group import CommandGroup
from choreo.cli.options import Debug, Json, Limit, ServiceName, StoreUrl, Yes, complete

app = typer.Typer(
    help="Look into events that wait in a store, and let them go on.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,
)

Lines = Annotated[
    list[str] | None,
    typer.Argument(metavar="LINE", help="Lines as the list shows them, or how they begin."),
]


@app.command("list")
def list_parked(
    service: ServiceName,
    store: StoreUrl = None,
    limit: Limit = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show each line of events that wait: behind which failure or gap, and until when."""
    with reporting(json=json, debug=debug):
        from choreo.cli import lines

        request = lines.Request(service=service, store=store, json=json)
        complete(lines.show(request, limit), json=json, debug=debug)


@app.command()
def retry(
    service: ServiceName,
    names: Lines = None,
    every: Annotated[bool, typer.Option("--all", help="All lines there are.")] = False,
    store: StoreUrl = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let lines go on now: a failed event is tried again, a missing number is given up."""
    with reporting(json=json, debug=debug):
        from choreo.cli import lines

        request = lines.Request(service=service, store=store, json=json)
        complete(lines.retry(request, names or (), every=every), json=json, debug=debug)


@app.command()
def drop(
    service: ServiceName,
    names: Lines = None,
    whole: Annotated[bool, typer.Option("--whole", help="All that waits in them.")] = False,
    store: StoreUrl = None,
    yes: Yes = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete the first event of lines, never to be handled; what waits behind it goes on."""
    with reporting(json=json, debug=debug):
        from choreo.cli import lines

        request = lines.Request(service=service, store=store, json=json)
        chosen = complete(lines.choose(request, names or ()), json=json, debug=debug)
        lines.confirm_drop(request, chosen, whole=whole, yes=yes)
        complete(lines.drop(request, chosen, whole=whole), json=json, debug=debug)
