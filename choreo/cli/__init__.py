"""The command ``choreo``: run, describe, publish, tail and look into the dead letters."""

import sys


def main() -> int:
    """Run the command line and return its exit code (see ``choreo.cli.exit_codes``)."""
    try:
        # Imported here, so that a missing extra is one clear line and not a traceback.
        from choreo.cli.application import invoke  # noqa: PLC0415 -- as said above
    except ModuleNotFoundError as error:
        if error.name not in {"rich", "typer"}:
            raise
        print("choreo: the command line needs choreo[cli]", file=sys.stderr)  # noqa: T201 -- no console yet
        return 3
    return invoke(sys.argv[1:])
