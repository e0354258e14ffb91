"""Failures told in one line, or one JSON object, and as an exit code."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import typer

from choreo.cli.exit_codes import SIGNALLED, ExitCode
from choreo.errors import (
    ChoreoError,
    CodecError,
    ConfigurationError,
    ConnectionLost,
    HandlerHalted,
    RegistryError,
    RegistryUnavailable,
    StoreError,
)


class InvalidInput(ChoreoError):
    """An event that was given on the command line or on stdin does not fit its class."""


class NothingFound(ChoreoError):
    """What was asked for is not there."""


CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ConfigurationError, ExitCode.CONFIGURATION),
    (ConnectionLost, ExitCode.UNREACHABLE),
    (StoreError, ExitCode.UNREACHABLE),
    (RegistryUnavailable, ExitCode.UNREACHABLE),
    (RegistryError, ExitCode.CONFIGURATION),
    (InvalidInput, ExitCode.INVALID_INPUT),
    (CodecError, ExitCode.INVALID_INPUT),
    (NothingFound, ExitCode.NOT_FOUND),
    (HandlerHalted, ExitCode.HALTED),
)
"""The first that fits decides; everything else has failed."""


@contextmanager
def reporting(*, json: bool, debug: bool) -> Generator[None]:
    """Turn whatever ends the block into a report on stderr and the exit code that belongs to it."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(SIGNALLED + signal.SIGINT) from None
    except (Exception, BaseExceptionGroup) as error:  # the boundary of the process
        if isinstance(error, typer.Exit | typer.Abort) or is_usage(error):
            raise
        if any(isinstance(leaf, BrokenPipeError) for leaf in _leaves(error)):
            # Whoever read our output has gone: nothing more can be said, not even while exiting.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(SIGNALLED + signal.SIGPIPE) from None
        if debug:
            traceback.print_exception(error)
        raise typer.Exit(report(error, as_json=json)) from None


def is_usage(error: BaseException) -> bool:
    """Tell whether *error* says that the command line is wrong."""
    return isinstance(error, usage_error())


def usage_error() -> type[BaseException]:
    """Find the class of all errors of usage: typer brings its own click and names only heirs."""
    return next(
        kind
        for kind in typer.BadParameter.__mro__
        if kind.__name__ == "ClickException" and issubclass(kind, BaseException)
    )


def report(error: BaseException, *, as_json: bool) -> ExitCode:
    """Write each failure within *error* once; return the exit code for all of them."""
    leaves = _leaves(error)
    codes = [code_of(leaf) for leaf in leaves]
    for leaf, code in dict.fromkeys(
        (_described(leaf), code) for leaf, code in zip(leaves, codes, strict=True)
    ):
        say(*leaf, code=code, as_json=as_json)
    return _worst(codes)


def say(kind: str, message: str, *, code: int, as_json: bool) -> None:
    """Write one failure to stderr."""
    if as_json:
        text = json.dumps({"error": {"kind": kind, "message": message, "exit_code": int(code)}})
    else:
        from choreo.telemetry.text import printable  # noqa: PLC0415 -- slow, see application.py

        text = f"choreo: {printable(message)}"
    print(text, file=sys.stderr, flush=True)  # noqa: T201 -- a command speaks


def code_of(error: BaseException) -> ExitCode:
    """Tell the exit code for one error."""
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.FAILED)


def _described(error: BaseException) -> tuple[str, str]:
    from choreo.telemetry.text import error_type, told  # noqa: PLC0415 -- slow, see application.py

    if isinstance(error, ChoreoError):
        return type(error).__name__, told(error)
    kind = error_type(error)
    return kind, f"{kind}: {told(error)} (the whole story: --debug)"


def _leaves(error: BaseException) -> list[BaseException]:
    """Take groups apart: a task group reports each service's failure."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for member in group.exceptions for leaf in _leaves(member)]


def _worst(codes: list[ExitCode]) -> ExitCode:
    """Prefer what only a person can mend: restarting does not help a wrong configuration."""
    if ExitCode.CONFIGURATION in codes:
        return ExitCode.CONFIGURATION
    return codes[0] if len(set(codes)) == 1 else ExitCode.FAILED
