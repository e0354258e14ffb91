"""``choreo outbox …``: the commands for what lies in an outbox, and their options."""

# ruff: noqa: PLC0415 -- see application.py

from typing import Annotated

import typer

from choreo.cli.failure import reporting
from choreo.cli.group import CommandGroup
from choreo.cli.options import Debug, Json, Limit, ServiceName, StoreUrl, Yes, complete

app = typer.Typer(
    help="Look into what could not be published; have it tried again.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,
)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Ids of events, or the numbers that the list shows."),
]


@app.command("list")
def list_refused(
    service: ServiceName,
    store: StoreUrl = None,
    limit: Limit = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the events that the broker has refused, and how many wait behind each."""
    with reporting(json=json, debug=debug):
        from choreo.cli import refused

        request = refused.Request(service=service, store=store, json=json)
        complete(refused.show(request, limit), json=json, debug=debug)


@app.command("timers")
def list_timers(
    service: ServiceName,
    store: StoreUrl = None,
    limit: Limit = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the events that are to be published later, those due first before the others."""
    with reporting(json=json, debug=debug):
        from choreo.cli import refused

        request = refused.Request(service=service, store=store, json=json)
        complete(refused.show_timers(request, limit), json=json, debug=debug)


@app.command()
def retry(
    service: ServiceName,
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="All that were refused.")] = False,
    store: StoreUrl = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Have refused events tried again at once, before what waits behind them."""
    with reporting(json=json, debug=debug):
        from choreo.cli import refused

        request = refused.Request(service=service, store=store, json=json)
        complete(refused.retry(request, ids or (), every=every), json=json, debug=debug)


@app.command()
def drop(
    service: ServiceName,
    ids: Ids = None,
    store: StoreUrl = None,
    yes: Yes = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete refused events, never to be published; what waits behind them goes on."""
    with reporting(json=json, debug=debug):
        from choreo.cli import refused

        request = refused.Request(service=service, store=store, json=json)
        chosen = complete(refused.choose(request, ids or ()), json=json, debug=debug)
        refused.confirm_drop(request, chosen, yes=yes)
        complete(refused.drop(request, chosen), json=json, debug=debug)
