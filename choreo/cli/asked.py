"""What every command of the desk can be asked: whose letters, which of them, and how to answer.

Typer reads options from a function's parameters. A dozen of them, the same for six commands, are
declared once here as fields, and given to each command as one value.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from choreo.cli.options import BrokerUrl, Debug, Json, service_option
from choreo.reason import Reason

AGO = "RFC 3339, or 90m, 6h, 2d ago"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options that all commands of the desk share; each field is one of them."""

    service: Annotated[str | None, service_option("Whose dead letters.")] = None
    topic: Annotated[
        str | None,
        typer.Option("--topic", "-t", help="Letters of Kafka Streams, Spring or Connect."),
    ] = None
    event: Annotated[
        str | None, typer.Option("--event", help="Only events of this type; version optional.")
    ] = None
    handler: Annotated[
        str | None, typer.Option("--handler", help="Only those of this handler.")
    ] = None
    reason: Annotated[
        Reason | None, typer.Option("--reason", help="Only those of this reason.")
    ] = None
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", help="Only those that the list shows under this.")
    ] = None
    key: Annotated[str | None, typer.Option("--key", help="Only those of this key.")] = None
    since: Annotated[str | None, typer.Option("--since", help=f"Buried then or later: {AGO}.")] = (
        None
    )
    until: Annotated[str | None, typer.Option("--until", help=f"Buried before: {AGO}.")] = None
    broker: BrokerUrl = None
    json: Json = False
    debug: Debug = False


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* its first parameter, an Asked, from options of its own."""
    shared = get_type_hints(Asked, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]
    hints = get_type_hints(command, include_extras=True)

    @wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401 -- what Typer has read
        asked = Asked(**{name: values.pop(name) for name in shared})
        command(asked, **values)

    common = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=shared[each.name],
        )
        for each in fields(Asked)
    ]
    mine = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in own
    ]
    run.__signature__ = inspect.Signature([*mine, *common])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*mine, *common)}
    return run
