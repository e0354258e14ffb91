"""``choreo dlq replay|drop``: what would be done, whether it shall be, and how far it is."""

import sys
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from choreo.cli import letters
from choreo.cli.exit_codes import ExitCode
from choreo.cli.failure import NothingFound
from choreo.cli.letters import Request
from choreo.cli.screen import err, out, print_json, table
from choreo.dead_letter import is_dead_letter_topic
from choreo.desk.case import Case
from choreo.desk.desk import Done
from choreo.desk.ruling import Ruling, Wish
from choreo.desk.ruling import rule as ruled
from choreo.errors import PublishError
from choreo.replay import is_replay_topic

KEYS_SHOWN = 20


async def rule(request: Request, wish: Wish) -> Ruling:
    """Find what was asked for, and tell what of it goes; raise NothingFound if there is none."""
    if wish.to is not None and (is_dead_letter_topic(wish.to) or is_replay_topic(wish.to)):
        raise typer.BadParameter(f"--to {wish.to}: only services and desks write there")
    async with letters.desk(request) as desk:
        found = request.selection.of(desk.ordered(await desk.survey()))
    if not found:
        raise NothingFound(f"no such dead letter of {request.name}")
    return ruled(found, wish)


def all_of(cases: Sequence[Case]) -> Ruling:
    """Rule that all *cases* go."""
    return Ruling(list(cases))


def tell_plan(request: Request, ruling: Ruling) -> None:
    """Print what would be done: how many letters go of each handler and key, and which stay."""
    counts = Counter((case.told.handler, case.key) for case in ruling.cases)
    if request.json:
        for (handler, key), number in counts.most_common():
            ids = [c.id for c in ruling.cases if (c.told.handler, c.key) == (handler, key)]
            print_json({"handler": handler, "key": key, "count": number, "letters": ids})
        for why, cases in ruling.refused.items():
            print_json({"why": why, "count": len(cases), "letters": [case.id for case in cases]})
        return
    rows = [(handler or "–", key or "–", number) for (handler, key), number in counts.most_common()]
    title = f"{letters.numbered(len(ruling.cases))} of {request.name} would go, of {len(rows)} keys"
    out().print(table(title, ("handler", "key", "letters"), rows[:KEYS_SHOWN]))
    if len(rows) > KEYS_SHOWN:
        out().print(f"… and {len(rows) - KEYS_SHOWN} more keys")
    _tell_refused(ruling)


def confirm_replay(request: Request, ruling: Ruling, wish: Wish, *, yes: bool) -> None:
    """Ask before letters are sent; say which stay."""
    if not request.json:
        _tell_refused(ruling)
    handlers = ", ".join(sorted({case.told.handler or "all handlers" for case in ruling.cases}))
    where = f"to the topic {wish.to}" if wish.to else f"to {handlers} of {request.name}"
    again = ", even if it is done already" if wish.force else ""
    if ruling.cases:
        confirm(f"Send {letters.numbered(len(ruling.cases))} {where}{again}?", yes=yes)


def confirm_drop(request: Request, cases: Sequence[Case], because: str, *, yes: bool) -> None:
    """Ask before letters are given up."""
    if not because.strip():
        raise typer.BadParameter("--because: say why")
    confirm(f"Give up {letters.numbered(len(cases))} of {request.name} for good?", yes=yes)


def confirm(question: str, *, yes: bool) -> None:
    """Ask; end with the code for a no, and refuse where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: say --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(ExitCode.DECLINED)


async def replay(request: Request, ruling: Ruling, wish: Wish) -> bool:
    """Send the letters in order; tell whether all that were asked for have gone."""
    tally = Tally(request, "replayed" if wish.to is None else "sent")
    for why, cases in ruling.refused.items():
        for case in cases:
            tally.note(case, why)
    async with letters.desk(request) as desk:
        with _progress("replaying", len(ruling.cases), tally.note) as done:
            try:
                await desk.replay(ruling.cases, wish, done)
            except PublishError as error:
                raise PublishError(
                    f"{error}; {tally.done} letters were {tally.verb}, run it again for the rest",
                    refused=error.refused,
                    unknown=error.unknown,
                ) from error
        tally.tell(desk.batch)
    return not tally.kept


async def drop(request: Request, cases: Sequence[Case], because: str) -> None:
    """Record that the letters are given up."""
    tally = Tally(request, "dropped")
    async with letters.desk(request) as desk:
        with _progress("dropping", len(cases), tally.note) as done:
            await desk.drop(cases, because, done)
        tally.tell(desk.batch)


class Tally:
    """Counts what became of letters, and says it of each in JSON."""

    def __init__(self, request: Request, verb: str) -> None:
        self._request = request
        self.verb = verb
        self.done = 0
        self.kept: Counter[str] = Counter()

    def note(self, case: Case, why: str | None) -> None:
        """Count one letter."""
        if why is None:
            self.done += 1
        else:
            self.kept[why] += 1
        if self._request.json:
            print_json(
                {
                    "letter": case.id,
                    "event_id": case.event_id,
                    "handler": case.told.handler,
                    "key": case.key,
                    "outcome": self.verb if why is None else "kept",
                    "why": why,
                }
            )

    def tell(self, batch: str) -> None:
        """Sum up."""
        if self._request.json:
            kept = self.kept.total()
            print_json({"batch": batch, self.verb: self.done, "kept": kept, "whys": self.kept})
            return
        out().print(f"{letters.numbered(self.done)} {self.verb} (batch {batch})")
        for why, number in self.kept.most_common():
            out().print(f"{number} stay: {why}")


def _tell_refused(ruling: Ruling) -> None:
    for why, cases in ruling.refused.items():
        err().print(f"{len(cases)} stay: {why}")


@contextmanager
def _progress(verb: str, total: int, note: Callable[[Case, str | None], None]) -> Generator[Done]:
    """Show a bar on a terminal while the block runs."""
    console = err()
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        task = progress.add_task("", total=total)

        def done(case: Case, why: str | None) -> None:
            note(case, why)
            progress.advance(task)

        yield done
