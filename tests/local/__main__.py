"""`make brokers`: all parts on this machine, ready to be used by hand, until Ctrl-C."""

import signal
from collections.abc import Callable
from contextlib import closing

from tests.local.parts import Parts
from tests.local.process import AbsentError

SIGNALS = {signal.SIGINT, signal.SIGTERM}


def main() -> None:
    with closing(Parts()) as parts:
        show("CHOREO_TEST_KAFKA", lambda: parts.kafka().bootstrap)
        show("CHOREO_TEST_MQTT", lambda: parts.mqtt().url.removeprefix("mqtt://"))
        show("CHOREO_TEST_POSTGRES", lambda: parts.postgres().dsn)
        show("CHOREO_TEST_REGISTRY", lambda: parts.schema_registry().url)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signal.sigwait(SIGNALS)


def show(variable: str, start: Callable[[], str]) -> None:
    """Print the line that lets `make test` in another terminal use what was started."""
    try:
        line = f"export {variable}={start()}"
    except AbsentError as absent:
        line = f"# {variable}: {absent}"
    print(line, flush=True)  # noqa: T201 -- for a person


if __name__ == "__main__":
    main()
