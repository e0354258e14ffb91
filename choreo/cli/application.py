"""The commands and their options; what they do is imported when one is called, and not before.

``choreo --help`` and completion must answer at once, so nothing here imports a broker, a codec or
a table: hence the imports inside functions.
"""

# ruff: noqa: PLC0415, PLR0913, PLR0917 -- as said above; Typer reads options from parameters

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from choreo.cli import catalogue, contracts, dlq, outbox, parked, registry, store
from choreo.cli.exit_codes import SIGNALLED, ExitCode
from choreo.cli.failure import is_usage, reporting, say
from choreo.cli.group import CommandGroup
from choreo.cli.options import BrokerUrl, Debug, Json, Limit, LockFiles, complete

app = typer.Typer(
    name="choreo",
    help="Run and look into services that react to events.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,  # Rich would take a third of the time there is
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(dlq.app, name="dlq")
app.add_typer(outbox.app, name="outbox")
app.add_typer(parked.app, name="parked")
app.add_typer(store.app, name="store")
app.add_typer(contracts.app, name="contracts")
app.add_typer(registry.app, name="registry")
app.add_typer(catalogue.app, name="catalogue")


class Level(StrEnum):
    """Least severe logs that are written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


Targets = Annotated[
    list[str],
    typer.Argument(metavar="MODULE:SERVICE", help="Services, or functions that return one."),
]


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    try:
        result = cast("object", app(list(arguments), prog_name="choreo", standalone_mode=False))
    except typer.Abort:
        return SIGNALLED + 2
    except Exception as error:
        if not is_usage(error):
            raise
        return _usage(error, as_json="--json" in arguments)
    return result if isinstance(result, int) else ExitCode.OK


@app.callback(invoke_without_command=True)
def choreo(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Run and look into services that react to events."""
    if show_version:
        from importlib.metadata import version

        print(version("choreo"))  # noqa: T201 -- a command speaks
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(ExitCode.USAGE)


@app.command()
def run(
    targets: Targets,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew on changes.")] = False,
    reload_dir: Annotated[
        list[Path] | None,
        typer.Option(help="Folder to watch in place of the current one; may be repeated."),
    ] = None,
    broker: BrokerUrl = None,
    log_level: Annotated[Level, typer.Option(help="Least severe logs written.")] = Level.INFO,
    json: Json = False,
    debug: Debug = False,
    lifeline: Annotated[int | None, typer.Option(hidden=True)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", hidden=True)] = False,
) -> None:
    """Run services until a signal.

    The first one stops them in order, a second one at once.
    """
    if reload and workers > 1:
        raise typer.BadParameter("--reload is for one process: leave out --workers")
    with reporting(json=json, debug=debug):
        from choreo.cli.signals import leave_quietly

        leave_quietly()
        from choreo.cli import running

        request = running.Request(
            targets=targets,
            broker=broker,
            workers=workers,
            reload=reload,
            folders=reload_dir or (),
            json=json,
            debug=debug,
            level=log_level,
            lifeline=lifeline,
            quiet=quiet,
        )
        raise typer.Exit(running.run(request))


@app.command()
def services(
    targets: Targets, broker: BrokerUrl = None, json: Json = False, debug: Debug = False
) -> None:
    """Describe services without running them.

    Each handler is told with its topic, its retries and what it may rely on.
    """
    with reporting(json=json, debug=debug):
        from choreo.cli import description, running, target

        found = target.services(targets)
        running.show([description.subject(service, broker) for service in found], json=json)


@app.command()
def publish(
    event: Annotated[str, typer.Argument(metavar="MODULE:EVENT", help="Class of the event.")],
    data: Annotated[
        str, typer.Argument(metavar="JSON|-", help="The event, or - for one a line of stdin.")
    ],
    broker: BrokerUrl = None,
    identity: Annotated[
        str | None, typer.Option("--id", help="Id of the event, in place of a new one.")
    ] = None,
    correlation: Annotated[
        str | None, typer.Option(help="Conversation it belongs to; by default it begins one.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Publish events and print their ids once the broker has them."""
    if identity is not None and data == "-":
        raise typer.BadParameter("--id names one event: leave it out when reading stdin")
    with reporting(json=json, debug=debug):
        from choreo.cli import publishing

        request = publishing.Request(
            target=event,
            data=data,
            broker=broker,
            identity=identity,
            correlation=correlation,
            json=json,
        )
        complete(publishing.publish(request), json=json, debug=debug)


@app.command()
def tail(
    topics: Annotated[list[str], typer.Argument(metavar="TOPIC", help="Topics to read.")],
    broker: BrokerUrl = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest message there is.")
    ] = False,
    follow: Annotated[bool, typer.Option(help="Go on with what comes.")] = True,
    limit: Limit = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="Only events of this type; version optional.")
    ] = None,
    correlation: Annotated[str | None, typer.Option(help="Only this conversation.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Add what is shown to this file, to be replayed in tests.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the messages of topics.

    They are read in no group, and nothing is settled.
    """
    with reporting(json=json, debug=debug):
        from choreo.cli import tail as tailing

        request = tailing.Request(
            topics=topics,
            broker=broker,
            from_beginning=from_beginning,
            follow=follow,
            limit=limit,
            kind=kind,
            correlation=correlation,
            json=json,
            record=record,
        )
        complete(tailing.tail(request), json=json, debug=debug)


@app.command()
def simulate(
    scenarios: Annotated[
        list[str],
        typer.Argument(metavar="MODULE:SCENARIO", help="Each module also names its services."),
    ],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to run, in all.")] = 100,
    first: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Only this one.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print its whole history.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Processes; one a core, if not told.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="File of what failed once: runs first, and is added to.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run services in simulated worlds.

    It ends with 1 at the first seed that shows something wrong.
    """
    if trace and seed is None:
        raise typer.BadParameter("--trace is for one seed: give --seed")
    with reporting(json=json, debug=debug):
        from choreo.cli import simulate as simulating

        request = simulating.Request(
            targets=scenarios,
            seeds=seeds,
            first=first,
            seed=seed,
            trace=trace,
            json=json,
            jobs=jobs or os.cpu_count() or 1,
            corpus=corpus,
        )
        raise typer.Exit(simulating.run(request))


@app.command()
def asyncapi(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODULE:SERVICE|MODULE:EVENT", help="What is described."),
    ] = None,
    locks: LockFiles = None,
    brokers: Annotated[
        list[str] | None,
        typer.Option("--broker", help="URL of a broker they are reached by; repeatable."),
    ] = None,
    registry: Annotated[
        str | None, typer.Option("--registry", help="URL of the schema registry beside Kafka.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="By default the services' names.")] = None,
    release: Annotated[str, typer.Option(help="Version of the document.")] = "1.0.0",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File, in place of stdout.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write an AsyncAPI 3.1 document of services.

    It is JSON, with --json on one line.
    """
    with reporting(json=json, debug=debug):
        from choreo.cli import describing

        describing.asyncapi(
            describing.Request(targets=targets or (), locks=locks or (), json=json),
            describing.Document(
                brokers=brokers or (),
                registry=registry,
                title=title,
                release=release,
                output=output,
            ),
        )


def _usage(error: Exception, *, as_json: bool) -> int:
    """Tell what is wrong with the command line."""
    problem = cast("typer.BadParameter", error)
    if as_json:
        say("UsageError", problem.format_message(), code=ExitCode.USAGE, as_json=True)
    else:
        problem.show(sys.stderr)
    return ExitCode.USAGE
