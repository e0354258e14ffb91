"""``choreo parked``: what waits in a service's parking lot, shown, let go on, dropped."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import typer

from choreo.cli.failure import NothingFound
from choreo.cli.replaying import confirm
from choreo.cli.screen import out, print_json, table
from choreo.errors import ConfigurationError
from choreo.settings import Settings
from choreo.store.lot import Attended, Lot, Waiting
from choreo.store.opening import open_store
from choreo.timestamps import rfc3339

MOST = 100_000
"""Lines among which names are looked for."""
SHOWN = 100
DIGITS = 8
"""Of a line's name that people are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``choreo parked``."""

    service: str
    store: str | None = None
    json: bool = False


async def show(request: Request, limit: int | None) -> None:
    """Print lines, the oldest first."""
    async with _lot(request) as lot:
        found = await lot.lines(limit or SHOWN)
    if request.json:
        for one in found:
            print_json(_json(one))
        return
    columns = ("line", "handler", "topic", "key", "events", "state", "attempts", "since", "why")
    title = f"{len(found)} lines of {request.service}, {sum(one.events for one in found)} events"
    out().print(table(title, columns, [_row(one) for one in found]))


async def retry(request: Request, names: Sequence[str], *, every: bool) -> None:
    """Let lines go on; raise NothingFound if there are none of *names*."""
    if every == bool(names):
        raise typer.BadParameter("name the lines, or give --all")
    async with _lot(request) as lot:
        chosen = await lot.lines(MOST) if every else await _chosen(lot, names)
        count = await lot.revive([one.line for one in chosen])
    _tell(request, "retried", count, "lines")


async def choose(request: Request, names: Sequence[str]) -> Sequence[Waiting]:
    """Find the lines that *names* name; raise NothingFound if one is not there."""
    if not names:
        raise typer.BadParameter("name the lines that are to be dropped")
    async with _lot(request) as lot:
        return await _chosen(lot, names)


def confirm_drop(request: Request, chosen: Sequence[Waiting], *, whole: bool, yes: bool) -> None:
    """Ask whether events of *chosen* shall be dropped; end the command if not."""
    count = sum(one.events for one in chosen) if whole else len(chosen)
    confirm(f"Delete {count} events of {request.service}, never handled?", yes=yes)


async def drop(request: Request, chosen: Sequence[Waiting], *, whole: bool) -> None:
    """Delete the first event of each of *chosen*, or all in it."""
    async with _lot(request) as lot:
        count = await lot.drop([one.line for one in chosen], None if whole else 1)
    _tell(request, "dropped", count, "events")


@asynccontextmanager
async def _lot(request: Request) -> AsyncGenerator[Lot]:
    url = Settings.load(store=request.store).store
    if url is None:
        raise ConfigurationError("no store, and so nothing parked: give --store, or CHOREO_STORE")
    store = open_store(url)
    if not isinstance(store, Attended):
        raise ConfigurationError(f"what is parked in {store.url} lives and ends with its process")
    async with store:
        yield await store.lot(request.service)


async def _chosen(lot: Lot, names: Sequence[str]) -> Sequence[Waiting]:
    every = await lot.lines(MOST)
    chosen: dict[bytes, Waiting] = {}
    for name in names:
        found = [one for one in every if one.line.hex().startswith(name.lower())]
        if not found:
            raise NothingFound(f"no such line: {name}")
        if len(found) > 1:
            raise typer.BadParameter(f"{name}: {len(found)} lines begin so, give more of it")
        chosen[found[0].line] = found[0]
    return list(chosen.values())


def _state(one: Waiting) -> str:
    if one.due is None:
        return "waits" if one.numbered else "held"
    return f"{'until' if one.numbered else 'again'} {rfc3339(one.due)}"


def _key(one: Waiting) -> str | None:
    return None if one.key is None else one.key.decode("utf-8", "replace")


def _row(one: Waiting) -> tuple[object, ...]:
    return (
        one.line.hex()[:DIGITS],
        one.handler,
        one.topic,
        _key(one) or "–",
        one.events,
        _state(one),
        one.attempts,
        rfc3339(one.since),
        one.note or "–",
    )


def _json(one: Waiting) -> dict[str, object]:
    return {
        "line": one.line.hex(),
        "handler": one.handler,
        "topic": one.topic,
        "key": _key(one),
        "behind": "gap" if one.numbered else "failure",
        "events": one.events,
        "state": "held" if one.due is None else "waiting",
        "due": None if one.due is None else rfc3339(one.due),
        "attempts": one.attempts,
        "since": rfc3339(one.since),
        "note": one.note,
    }


def _tell(request: Request, verb: str, count: int, what: str) -> None:
    if request.json:
        print_json({"service": request.service, verb: count})
    else:
        out().print(f"{count} {what} {verb}")
