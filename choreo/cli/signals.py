"""Stop signals: the first asks to stop in order, the second stops at once."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from choreo.cli.exit_codes import SIGNALLED, ExitCode

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AT_ONCE = "second signal, stopping at once; what is not settled will be handed over again"
WITHOUT = "a thread did not end, leaving without it"
STDERR = 2


def _nothing() -> None:
    """Do nothing."""


class Interruption:
    """Which signal asked this process to stop, if any.

    Plain signal handlers rather than the loop's: a handler that blocks the loop must not keep the
    second signal from working, and the loop runs nothing while it is blocked.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self._stop: Callable[[], object] = _nothing
        self._before_leaving: Callable[[], object] = _nothing
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(
        self, stop: Callable[[], object], before_leaving: Callable[[], object] = _nothing
    ) -> None:
        """From now on call *stop*, on the running loop, for the first signal.

        The second ends the process with 128 + its number, after *before_leaving*, which is called
        within the signal handler. The handlers stay in place until the process is gone.
        """
        self._loop = asyncio.get_running_loop()
        self._stop = stop
        self._before_leaving = before_leaving
        for number in SIGNALS:
            signal.signal(number, self._take)

    def ask(self, number: signal.Signals) -> None:
        """Do what the first signal *number* would do; nothing if one has come already."""
        if self.first is None:
            self.first = number
            self._stop()

    def _take(self, number: int, _: FrameType | None) -> None:
        if self.first is not None:
            _say(AT_ONCE)
            self._before_leaving()
            os._exit(SIGNALLED + number)
        self.first = signal.Signals(number)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)


def leave_quietly() -> None:
    """Until ``listen`` is called, let a stop signal end the process: nothing has begun."""
    for number in SIGNALS:
        signal.signal(number, _leave)


def _leave(_: int, __: FrameType | None) -> None:
    os._exit(ExitCode.OK)


def leave_within(seconds: float, code: int) -> None:
    """Make sure that the process ends with *code* even if a thread of a handler never returns.

    Python joins every thread of a pool before it exits, and asyncio those of ``to_thread``.
    """

    def leave() -> None:
        _say(WITHOUT)
        os._exit(code)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def _say(text: str) -> None:
    """Write one line past all buffers and locks: on a terminal as text, else as logs are."""
    line = f"choreo: {text}" if os.isatty(STDERR) else json.dumps({"message": text})
    os.write(STDERR, f"{line}\n".encode())
