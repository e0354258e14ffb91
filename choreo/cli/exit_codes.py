"""How the command ends: stable numbers that scripts and supervisors may rely on."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every ``choreo`` command; 128 + n when signal n ended it at once."""

    OK = 0
    """Done; for ``run``: stopped as asked, in order."""
    FAILED = 1
    """Something failed while running: the broker refused, a service could not go on."""
    USAGE = 2
    """The command line itself is wrong."""
    CONFIGURATION = 3
    """The program, its settings or the broker's set-up are wrong: fix them, do not retry."""
    UNREACHABLE = 4
    """The broker or the store cannot be reached: the same command may succeed later."""
    INVALID_INPUT = 5
    """An event that was given does not fit its class."""
    NOT_FOUND = 6
    """What was asked for is not there."""
    DECLINED = 7
    """A question was answered with no: nothing was done."""
    HALTED = 8
    """A handler stopped its service before an event (``on_failure="halt"``)."""


SIGNALLED = 128
"""Added to a signal's number."""
