"""``choreo outbox``: refused events shown, tried again and dropped, and delayed ones shown."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import typer

from choreo.cli.failure import NothingFound
from choreo.cli.replaying import confirm
from choreo.cli.screen import out, print_json, table
from choreo.errors import ConfigurationError
from choreo.settings import Settings
from choreo.store.opening import open_store
from choreo.store.outbox import Attended, Delayed, Desk, Refused
from choreo.timestamps import rfc3339

MOST = 10_000
"""Refused events among which ids are looked for."""
SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``choreo outbox``."""

    service: str
    store: str | None = None
    json: bool = False


async def show(request: Request, limit: int | None) -> None:
    """Print refused events, oldest first."""
    async with _desk(request) as desk:
        found = await desk.refused(limit or SHOWN)
    if request.json:
        for one in found:
            print_json(_json(one))
        return
    columns = ("number", "event", "topic", "state", "attempts", "behind", "since", "reason")
    title = f"{len(found)} refused events of {request.service}"
    out().print(table(title, columns, [_row(one) for one in found]))


async def show_timers(request: Request, limit: int | None) -> None:
    """Print delayed events, those due first before the others."""
    async with _desk(request) as desk:
        found = await desk.timers(limit or SHOWN)
    if request.json:
        for one in found:
            print_json(_timer(one))
        return
    lines = [tuple(_timer(one).values()) for one in found]
    title = f"{len(found)} delayed events of {request.service}"
    out().print(table(title, ("event", "topic", "key", "bytes", "due"), lines))


async def retry(request: Request, ids: Sequence[str], *, every: bool) -> None:
    """Have events tried again; raise NothingFound if there are none of *ids*."""
    if every == bool(ids):
        raise typer.BadParameter("name the events, or give --all")
    async with _desk(request) as desk:
        numbers = None if every else [one.row.id for one in await _chosen(desk, ids)]
        count = await desk.retry(numbers)
    _tell(request, "retried", count)


async def choose(request: Request, ids: Sequence[str]) -> Sequence[Refused]:
    """Find the refused events that *ids* name; raise NothingFound if one is not there."""
    if not ids:
        raise typer.BadParameter("name the events that are to be dropped")
    async with _desk(request) as desk:
        return await _chosen(desk, ids)


def confirm_drop(request: Request, chosen: Sequence[Refused], *, yes: bool) -> None:
    """Ask whether *chosen* shall be dropped; end the command if not."""
    confirm(f"Delete {len(chosen)} events of {request.service}, never published?", yes=yes)


async def drop(request: Request, chosen: Sequence[Refused]) -> None:
    """Delete *chosen*."""
    async with _desk(request) as desk:
        count = await desk.drop([one.row.id for one in chosen])
    _tell(request, "dropped", count)


@asynccontextmanager
async def _desk(request: Request) -> AsyncGenerator[Desk]:
    url = Settings.load(store=request.store).store
    if url is None:
        raise ConfigurationError("no store, and so no outbox: give --store, or CHOREO_STORE")
    store = open_store(url)
    if not isinstance(store, Attended):
        raise ConfigurationError(f"the outbox in {store.url} lives and ends with its process")
    async with store:
        yield await store.desk(request.service)


async def _chosen(desk: Desk, ids: Sequence[str]) -> Sequence[Refused]:
    every = await desk.refused(MOST)
    known = {one.row.identity: one for one in every} | {str(one.row.id): one for one in every}
    missing = [name for name in ids if name not in known]
    if missing:
        raise NothingFound(f"no such refused event: {', '.join(missing)}")
    return [known[name] for name in dict.fromkeys(ids)]


def _state(one: Refused) -> str:
    if one.aside:
        return "set aside"
    return "held" if one.due is None else f"again {rfc3339(one.due)}"


def _row(one: Refused) -> tuple[object, ...]:
    row = one.row
    since = rfc3339(row.created)
    behind = "–" if one.aside else one.behind
    return (
        row.id,
        row.identity,
        row.message.topic,
        _state(one),
        row.attempts,
        behind,
        since,
        one.reason,
    )


def _json(one: Refused) -> dict[str, object]:
    row = one.row
    key = row.message.key
    return {
        "number": row.id,
        "event": row.identity,
        "topic": row.message.topic,
        "key": None if key is None else key.decode("utf-8", "replace"),
        "bytes": len(row.message.body or b""),
        "state": "aside" if one.aside else "held" if one.due is None else "retrying",
        "due": None if one.due is None else rfc3339(one.due),
        "attempts": row.attempts,
        "behind": one.behind,
        "created": rfc3339(row.created),
        "reason": one.reason,
    }


def _timer(one: Delayed) -> dict[str, object]:
    key = one.message.key
    return {
        "event": one.identity,
        "topic": one.message.topic,
        "key": None if key is None else key.decode("utf-8", "replace"),
        "bytes": len(one.message.body or b""),
        "due": rfc3339(one.due),
    }


def _tell(request: Request, verb: str, count: int) -> None:
    if request.json:
        print_json({"service": request.service, verb: count})
    else:
        out().print(f"{count} events {verb}")
