from collections.abc import Iterator

import pytest

from tests.telemetry.observed import Observed


@pytest.fixture
def observed() -> Iterator[Observed]:
    """Give providers of the test's own."""
    found = Observed()
    yield found
    found.close()
