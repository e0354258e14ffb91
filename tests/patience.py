"""How long to wait for what must come.

A limit ends what hangs and measures nothing, so that it may be long where a machine is busy: `make
test` sets CHOREO_TEST_PATIENCE, as the tests share the machine there.
"""

import os


def patient(seconds: float) -> float:
    """Give a limit the length that this run needs."""
    return seconds * float(os.environ.get("CHOREO_TEST_PATIENCE", "1"))
