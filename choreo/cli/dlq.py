"""``choreo dlq …``: the commands of the dead-letter desk and their options."""

# ruff: noqa: PLC0415, PLR0913, PLR0917 -- see application.py

from typing import Annotated

import typer

from choreo.cli.asked import Asked, asking
from choreo.cli.exit_codes import ExitCode
from choreo.cli.failure import reporting
from choreo.cli.group import CommandGroup
from choreo.cli.options import Limit, Yes, complete

app = typer.Typer(
    help="Look into what a service gave up, and have it handled again.",
    no_args_is_help=True,
    cls=CommandGroup,
    rich_markup_mode=None,
)

Identity = Annotated[
    str | None, typer.Argument(metavar="ID", help="Id of a letter, or of its event.")
]
All = Annotated[
    bool, typer.Option("--all", help="Also those replayed, sent, edited or dropped already.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only tell what would be done, by handler and key.")
]


@app.command("list")
@asking
def list_letters(asked: Asked, every: All = False, limit: Limit = None) -> None:
    """Count dead letters by what went wrong; --limit is of groups."""
    with reporting(json=asked.json, debug=asked.debug):
        from choreo.cli import letters

        request = letters.request(asked, every=every)
        complete(letters.summarise(request, limit), json=asked.json, debug=asked.debug)


@app.command()
@asking
def show(asked: Asked, identity: Identity = None, every: All = False, limit: Limit = None) -> None:
    """Show dead letters whole: what went wrong, and the message as it came."""
    with reporting(json=asked.json, debug=asked.debug):
        from choreo.cli import letters

        every = every or identity is not None
        request = letters.request(asked, identity=identity, limit=limit, every=every)
        complete(letters.show(request), json=asked.json, debug=asked.debug)


@app.command()
@asking
def stats(asked: Asked, every: All = False) -> None:
    """Count dead letters by state, reason, handler, event, fingerprint and age."""
    with reporting(json=asked.json, debug=asked.debug):
        from choreo.cli import letters

        request = letters.request(asked, every=every)
        complete(letters.count(request), json=asked.json, debug=asked.debug)


@app.command()
@asking
def replay(
    asked: Asked,
    identity: Identity = None,
    limit: Limit = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Publish to this topic, in place of the handler that failed."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also what was replayed before: it is handled once.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Have it handled although it is done, or failed too often."),
    ] = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, help="Letters a second, at most.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Give dead letters to the handler that failed once more, in the order of each key."""
    with reporting(json=asked.json, debug=asked.debug):
        from choreo.cli import letters, replaying
        from choreo.desk.ruling import Wish

        every = again or force or identity is not None
        request = letters.request(asked, identity=identity, limit=limit, every=every)
        wish = Wish(to=to, again=again, force=force, rate=rate)
        ruling = complete(replaying.rule(request, wish), json=asked.json, debug=asked.debug)
        if dry_run:
            replaying.tell_plan(request, ruling)
            return
        replaying.confirm_replay(request, ruling, wish, yes=yes)
        work = replaying.replay(request, ruling, wish)
        whole = complete(work, json=asked.json, debug=asked.debug)
        raise typer.Exit(ExitCode.OK if whole else ExitCode.FAILED)


@app.command()
@asking
def drop(
    asked: Asked,
    because: Annotated[str, typer.Option("--because", help="Why they are given up; recorded.")],
    identity: Identity = None,
    every: All = False,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Give dead letters up for good, and record who did and why."""
    with reporting(json=asked.json, debug=asked.debug):
        from choreo.cli import letters, replaying

        request = letters.request(asked, identity=identity, limit=limit, every=every)
        cases = complete(letters.cases(request), json=asked.json, debug=asked.debug)
        if dry_run:
            replaying.tell_plan(request, replaying.all_of(cases))
            return
        replaying.confirm_drop(request, cases, because, yes=yes)
        complete(replaying.drop(request, cases, because), json=asked.json, debug=asked.debug)


@app.command()
@asking
def edit(
    asked: Asked,
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id of the letter.")],
    data: Annotated[
        str | None, typer.Option("--data", help="File of the new payload, - for stdin; no editor.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="MODULE:SERVICE", help="To check it against its class."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Although it was replayed or edited before.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Correct one letter's payload, and have it handled as a new event caused by the old."""
    with reporting(json=asked.json, debug=asked.debug):
        from choreo.cli import editing, letters

        request = letters.request(asked, identity=identity, every=True)
        work = editing.draft(request, target, again=again)
        draft = complete(work, json=asked.json, debug=asked.debug)
        text = editing.text(draft, data)
        correction = editing.correction(draft, text)
        editing.confirm(request, draft, correction, yes=yes)
        complete(editing.send(request, draft, correction), json=asked.json, debug=asked.debug)
