"""``choreo contracts …``: the commands that hold events to their contracts, and their options."""

# ruff: noqa: PLC0415 -- see application.py

from pathlib import Path
from typing import Annotated

import typer

from choreo.cli.failure import reporting
from choreo.cli.group import CommandGroup
from choreo.cli.options import Debug, Json
from choreo.contracts.mode import Mode

app = typer.Typer(
    help="Hold event classes to their committed Avro contracts.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,
)

Contracted = Annotated[
    list[str],
    typer.Argument(
        metavar="MODULE:SERVICE|MODULE:EVENT", help="Event classes, or services that emit some."
    ),
]
Compared = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODULE:SERVICE|MODULE:EVENT",
        help="Event classes, and services that emit or read some; by default files only.",
    ),
]
Schemas = Annotated[
    Path | None,
    typer.Option("--schemas", help="Folder of the contracts, in place of the settings' one."),
]
OfMode = Annotated[
    Mode | None,
    typer.Option("--mode", help="Who must be able to read whom; by default as the settings say."),
]
Against = Annotated[
    str | None,
    typer.Option("--against", help="Git reference whose contracts are in use, such as main."),
]
AgainstAny = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        help="Git reference whose contracts are in use, or the lock of another project "
        "(../billing/choreo.lock); may be repeated.",
    ),
]


@app.command()
def export(
    targets: Contracted,
    schemas: Schemas = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace contracts that say something else.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the Avro contracts of events, each to schemas/TOPIC/EVENT/VERSION.avsc."""
    with reporting(json=json, debug=debug):
        from choreo.cli import standing

        standing.export(standing.Request(targets=targets, schemas=schemas, force=force, json=json))


@app.command()
def check(
    targets: Compared = None,
    schemas: Schemas = None,
    mode: OfMode = None,
    against: AgainstAny = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare events with contracts, and contracts with earlier ones; end with 3 if any fails.

    Names who reads what breaks, in which order to deploy, and what to do.
    """
    with reporting(json=json, debug=debug):
        from choreo.cli import checking

        locks = [Path(one) for one in against or () if Path(one).is_file()]
        references = [one for one in against or () if Path(one) not in locks]
        if len(references) > 1:
            raise typer.BadParameter(f"--against: {references[1]} is no file, and a second commit")
        checking.check(
            checking.Comparison(
                targets=targets or (),
                schemas=schemas,
                mode=mode,
                against=next(iter(references), None),
                locks=locks,
                json=json,
            )
        )


@app.command("can-deploy")
def can_deploy(
    locks: Annotated[
        list[Path], typer.Argument(metavar="LOCK", help="Locks of what is to be deployed.")
    ],
    deployed: Annotated[
        list[Path] | None,
        typer.Option("--deployed", help="Lock, or folder of locks, of what runs; repeatable."),
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="Git reference whose locks are what runs.")
    ] = None,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="Old processes end before new ones begin.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell whether services go with those that run, and in which order; end with 3 if not."""
    with reporting(json=json, debug=debug):
        from choreo.cli import deploying

        deploying.deploy(
            deploying.Request(
                candidates=locks,
                deployed=deployed or (),
                against=against,
                side_by_side=not stopped,
                json=json,
            )
        )


@app.command()
def diff(
    targets: Compared = None,
    schemas: Schemas = None,
    against: Against = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show how the newest contracts differ from those before, and who can read whom."""
    with reporting(json=json, debug=debug):
        from choreo.cli import checking

        checking.diff(
            checking.Comparison(targets=targets or (), schemas=schemas, against=against, json=json)
        )


@app.command()
def accept(
    events: Annotated[list[str], typer.Argument(metavar="EVENT", help="Names of events.")],
    because: Annotated[str, typer.Option("--because", help="The reason, kept in the file.")],
    schemas: Schemas = None,
    mode: OfMode = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let the newest contract of an event break with earlier ones, and keep why beside it."""
    with reporting(json=json, debug=debug):
        from choreo.cli import checking

        checking.accept(checking.Comparison(schemas=schemas, mode=mode, json=json), events, because)


@app.command("import")
def import_contract(
    file: Annotated[Path, typer.Argument(metavar="FILE.avsc", help="An Avro schema.")],
    topic: Annotated[
        str | None, typer.Option("--topic", help="Topic of the event; by default from the path.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Field that keeps order.")] = None,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Version; by default from the path.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New file, in place of stdout.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write an event class that derives back to a contract that others wrote."""
    with reporting(json=False, debug=debug):
        from choreo.cli import importing

        importing.write_class(
            importing.Order(file=file, topic=topic, key=key, version=version, output=output)
        )
