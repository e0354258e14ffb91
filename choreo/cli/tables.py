"""What ``choreo store`` does: open no books, look after the tables they are kept in."""

from typing import Any, Literal

from choreo.cli.screen import print_json, print_line
from choreo.errors import ConfigurationError
from choreo.settings import Settings
from choreo.store.opening import open_store
from choreo.store.port import Store
from choreo.store.schema import Standing, Tabled


async def work(task: Literal["init", "check", "upgrade"], url: str | None, *, json: bool) -> None:
    """Do *task* and print how the tables stand; raise SchemaError unless they fit afterwards."""
    where = Settings.load(store=url).store
    if where is None:
        raise ConfigurationError("no store is set: give --store, or set CHOREO_STORE")
    store = open_store(where)
    if not isinstance(store, Tabled):
        _show(store, None, json=json)
        return
    tasks = {"init": store.init, "check": store.standing, "upgrade": store.upgrade}
    standing = await tasks[task]()
    _show(store, standing, json=json)
    store.refuse(standing)


def _show(store: Store[Any], standing: Standing | None, *, json: bool) -> None:
    if json:
        tables = None
        if standing is not None:
            tables = {
                "found": standing.found,
                "known": standing.known,
                "missing": list(standing.missing),
                "current": standing.current,
            }
        print_json({"store": store.url, "tables": tables})
    else:
        print_line(f"{store.url}  {_words(standing)}")


def _words(standing: Standing | None) -> str:
    if standing is None:
        return "keeps no tables: nothing to do"
    if standing.found is None:
        return "no tables"
    if standing.missing:
        return f"version {standing.found}, without {', '.join(standing.missing)}"
    return f"version {standing.found}{'' if standing.current else f' of {standing.known}'}"
