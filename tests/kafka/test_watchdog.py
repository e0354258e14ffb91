"""A client object is replaced when, and only when, it stands still."""

from choreo_kafka.watchdog import MAX_ERRORS, Watchdog


def dog() -> Watchdog:
    watchdog = Watchdog(patience=10, join_patience=30, now=0)
    watchdog.joined()
    return watchdog


def test_progress_is_no_reason() -> None:
    watchdog = dog()
    for second in range(100):
        watchdog.round(second)
        watchdog.watch({"t-0": second}, [], second)
        assert watchdog.verdict(second) is None
    assert watchdog.healthy


def test_a_stream_that_is_read_without_an_answer_is_a_reason() -> None:
    """K19."""
    watchdog = dog()
    for second in range(12):
        watchdog.round(second)
        watchdog.watch({"t-0": 1, "t-1": second}, [], second)
    assert watchdog.verdict(11) is not None


def test_a_resting_stream_may_stand_still() -> None:
    """K12."""
    watchdog = dog()
    for second in range(100):
        watchdog.round(second)
        watchdog.watch({}, ["t-0"], second)
        assert watchdog.verdict(second) is None


def test_errors_in_a_row_are_a_reason_and_single_ones_are_not() -> None:
    """K18."""
    watchdog = dog()
    for _ in range(10):
        watchdog.error("error", 1)
        watchdog.round(1)
    assert watchdog.verdict(1) is None
    for _ in range(MAX_ERRORS):
        watchdog.error("error", 2)
    assert watchdog.verdict(2) is not None


def test_joining_may_last_as_long_as_a_rebalance() -> None:
    """K15."""
    watchdog = dog()
    watchdog.joining(100)
    assert watchdog.verdict(129) is None
    assert watchdog.verdict(131) is not None


def test_a_poll_that_does_not_return_is_a_reason() -> None:
    """K19."""
    watchdog = dog()
    assert watchdog.verdict(9) is None
    assert watchdog.verdict(11) is not None
