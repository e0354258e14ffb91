"""What a world shuts out: threads, and chance that is not the seed's."""

import random
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from choreo.testing.simulation.loop import OWNER
from choreo.testing.simulation.witness import STAGE


@contextmanager
def fenced(seed: int) -> Generator[None]:
    """Let ``random`` draw from *seed* in here, and no code of a world start a thread."""
    drawn, start = random.getstate(), threading.Thread.start
    random.seed(f"{seed} random")

    def refuse(thread: threading.Thread) -> None:
        if STAGE.get() is None:
            start(thread)  # of somebody beside the simulation
        else:
            _refuse(thread)

    setattr(threading.Thread, "start", refuse)  # noqa: B010 -- no method of its type
    try:
        yield
    finally:
        setattr(threading.Thread, "start", start)  # noqa: B010 -- as above
        random.setstate(drawn)


def _refuse(thread: threading.Thread) -> NoReturn:
    text = (
        f"thread {thread.name!r} was started, which no seed can replay: use asyncio.to_thread, or "
        "a plain def as the handler, which a simulation runs within a step of their own"
    )
    stage = STAGE.get()
    if stage is not None:
        stage.tell("broken", str(OWNER.get() or ""), text)
    raise RuntimeError(text)
