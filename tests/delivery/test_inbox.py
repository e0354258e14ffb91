import gc

from choreo.delivery.inbox import Inbox

KEY = (0, "urn:shop", "1")
OTHER_HANDLER = (1, "urn:shop", "1")


def test_a_duplicate_of_an_unfinished_event_waits_for_its_end_i4() -> None:
    inbox: Inbox[str] = Inbox(10)

    assert inbox.claim(KEY, "first")
    assert not inbox.claim(KEY, "second")
    assert not inbox.finished(KEY)

    assert inbox.close(KEY, "first") == ["second"]
    inbox.remember(KEY, 1)
    assert inbox.finished(KEY)


def test_a_failed_event_is_not_recorded_as_done_i3() -> None:
    inbox: Inbox[str] = Inbox(10)
    inbox.claim(KEY, "first")

    inbox.close(KEY, "first")

    assert not inbox.finished(KEY)
    assert inbox.claim(KEY, "second")


def test_the_next_attempt_of_the_owner_goes_on() -> None:
    inbox: Inbox[str] = Inbox(10)

    assert inbox.claim(KEY, "first")
    assert inbox.claim(KEY, "first")


def test_who_only_waits_cannot_end_it() -> None:
    inbox: Inbox[str] = Inbox(10)
    inbox.claim(KEY, "first")
    inbox.claim(KEY, "second")

    assert inbox.close(KEY, "second") == ()
    assert not inbox.finished(KEY)
    assert inbox.waiting() == ["second"]

    inbox.leave("second")
    assert inbox.close(KEY, "first") == []


def test_two_handlers_do_not_hide_an_event_from_each_other_i8() -> None:
    inbox: Inbox[str] = Inbox(10)
    inbox.claim(KEY, "a")
    inbox.close(KEY, "a")
    inbox.remember(KEY, 1)

    assert not inbox.finished(OTHER_HANDLER)


def test_the_window_bounds_memory_and_keeps_the_last_events() -> None:
    inbox: Inbox[int] = Inbox(100)
    for number in range(1_000):
        key = (0, "urn:shop", str(number))
        inbox.claim(key, number)
        inbox.close(key, number)
        inbox.remember(key, number)

    remembered = [number for number in range(1_000) if inbox.finished((0, "urn:shop", str(number)))]

    assert remembered[-100:] == list(range(900, 1_000))
    assert len(remembered) <= 200


def test_no_window_remembers_nothing() -> None:
    inbox: Inbox[str] = Inbox(0)
    inbox.claim(KEY, "a")
    inbox.close(KEY, "a")
    inbox.remember(KEY, 1)

    assert not inbox.finished(KEY)


def test_finished_events_are_nothing_that_the_collector_looks_into() -> None:
    """A look at all of a hundred thousand would hold up every handler."""
    inbox: Inbox[str] = Inbox(100)
    for number in range(150):
        key = (0, "urn:shop", str(number))
        inbox.remember(key, number if number % 2 else b"sixteen bytes ..")

    held: list[dict[object, object]] = [
        one for one in gc.get_referents(inbox) if isinstance(one, dict)
    ]

    assert sum(map(len, held)) == 150
    assert not any(map(gc.is_tracked, held))


def test_keys_that_read_alike_are_not_taken_for_each_other() -> None:
    inbox: Inbox[str] = Inbox(10)
    inbox.remember((1, "urn:shop", "1"), 1)

    alike = [
        (11, "urn:shop", ""),
        (1, "urn:shop1", ""),
        (1, "urn:sho", "p1"),
        (11, "urn:shop", "1"),
    ]

    assert not any(inbox.finished(key) for key in alike)
