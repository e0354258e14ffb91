"""Makes processes of a program quickly: it has imported everything, and forks.

    python -m tests.crash.nursery

reads one task in JSON per line, of a program that is a module with ``Task`` and ``serve``, and
writes what becomes of its children, one JSON line each: ``{"started": name, "pid": …}``,
``{"ready": pid}``, ``{"ended": pid, "status": …}``, where a negative status is the signal that
ended it.  At the end of its input it kills what still runs.
"""

import asyncio
import json
import logging
import os
import select
import signal
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from choreo import failpoints
from choreo.logs import configure

USED = (
    *("aiosqlite", "asyncpg", "choreo_kafka", "choreo_mqtt"),
    *("sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.dialects.sqlite.aiosqlite"),
)
"""What children would import one by one, each for itself."""
LOOK = 0.02
"""Seconds between two looks for children that ended."""


def main() -> None:
    """Fork for each line, until there are no more."""
    children: set[int] = set()
    buffer = b""
    while True:
        readable, _, _ = select.select([0], [], [], LOOK)
        if readable:
            data = os.read(0, 65_536)
            if not data:
                break
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                children.add(_fork(json.loads(line)))
        _bury(children)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _fork(order: dict[str, Any]) -> int:
    import_module(order["program"])  # once, for all children to come
    child = os.fork()
    if child == 0:
        _be(order)
    _say({"started": order["name"], "pid": child})
    return child


def _be(order: dict[str, Any]) -> NoReturn:
    """Live the life of a child, and end in any case."""
    status = 1
    try:
        os.close(0)
        log = os.open(Path(order["log"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 2)
        configure(json=False)
        program = import_module(order["program"])
        task = program.Task(**{field.name: order[field.name] for field in fields(program.Task)})
        failpoints.arm(task.environment)
        asyncio.run(program.serve(task, lambda: _say({"ready": os.getpid()})))
        status = 0
    except BaseException:
        logging.getLogger(__name__).exception("the child failed")
    finally:
        os._exit(status)


def _bury(children: set[int]) -> None:
    for child in list(children):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            children.remove(child)
            _say({"ended": child, "status": os.waitstatus_to_exitcode(status)})


def _say(facts: dict[str, object]) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    for module in USED:
        import_module(module)
    main()
