"""Options that several commands have, and how what they ask for is carried out.

Nothing here imports a broker, a codec or a table: see ``application``.
"""

# ruff: noqa: PLC0415 -- as said above

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from typer.models import OptionInfo

T = TypeVar("T")

BrokerUrl = Annotated[
    str | None,
    typer.Option("--broker", help="URL of the broker, in place of the settings' one."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON: one object a line.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")]
LockFiles = Annotated[
    list[Path] | None,
    typer.Option("--lock", help="Lock of other services, or a folder of locks; repeatable."),
]


def _named(name: str | None) -> str | None:
    """Refuse what no service can be called: that nothing is found of it would look like success."""
    from choreo.declaration import require_service_name
    from choreo.errors import ConfigurationError

    if name is not None:
        try:
            require_service_name(name)
        except ConfigurationError as error:
            raise typer.BadParameter(str(error)) from error
    return name


def service_option(told: str) -> OptionInfo:
    """Make the option that names a service, and *told* for help."""
    option: OptionInfo = typer.Option("--service", "-s", help=told, callback=_named)
    return option


ServiceName = Annotated[str, service_option("Name of the service.")]
StoreUrl = Annotated[
    str | None,
    typer.Option("--store", help="URL of the store, in place of the settings' one."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")]


def complete(work: Coroutine[None, None, T], *, json: bool, debug: bool) -> T:
    """Do *work*, with libraries silent: the command's own failure is the one line."""
    import asyncio

    from choreo.logs import configure

    configure("DEBUG" if debug else "CRITICAL", json=json)
    return asyncio.run(work)
