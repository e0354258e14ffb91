"""``choreo registry …``: a schema registry for local runs, and contracts into one."""

# ruff: noqa: PLC0415 -- see application.py

from pathlib import Path
from typing import Annotated

import typer

from choreo.cli.failure import reporting
from choreo.cli.group import CommandGroup
from choreo.cli.options import Debug, Json, complete

app = typer.Typer(
    help="Serve a schema registry for local runs; register contracts.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,
)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8081,
    database: Annotated[
        Path | None, typer.Option(help="SQLite file to keep schemas in, in place of memory.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve a schema registry until a signal; for tests and local runs, not for production."""
    with reporting(json=json, debug=debug):
        from choreo.cli import registering

        complete(registering.serve(host, port, database, json=json), json=json, debug=debug)


@app.command()
def register(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="MODULE:SERVICE|MODULE:EVENT", help="Services that emit events, or events."
        ),
    ],
    registry: Annotated[
        str | None, typer.Option("--registry", help="URL, in place of the settings' one.")
    ] = None,
    schemas: Annotated[
        Path | None, typer.Option("--schemas", help="Folder of the contracts.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Register every version of events' contracts, and keep the ids beside the contracts."""
    with reporting(json=json, debug=debug):
        from choreo.cli import registering

        request = registering.Request(targets=targets, registry=registry, schemas=schemas)
        complete(registering.register(request, json=json), json=json, debug=debug)
