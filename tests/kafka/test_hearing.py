"""When a member of a group says that it hears nothing from its cluster any more, by its ticks."""

from collections.abc import Sequence

from choreo.delivery.contact import Contact
from choreo_kafka.hearing import SILENT, Hearing

TICK = SILENT / 6


class Line:
    """Two streams that are read, and what was told about them."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.hearing = Hearing(Contact(self.tell))
        self.now = 0.0
        self.answers = {"a": 0, "b": 0}

    def tell(self, kind: str, text: str, unheard: float, /) -> None:
        assert text
        self.told.append((kind, unheard))

    @property
    def kinds(self) -> Sequence[str]:
        return [kind for kind, _ in self.told]

    def tick(
        self,
        *answered: str,
        read: Sequence[str] = ("a", "b"),
        severed: bool = False,
        times: int = 1,
    ) -> None:
        for _ in range(times):
            self.now += TICK
            for name in answered:
                self.answers[name] += 1
            signs = {name: self.answers[name] for name in read}
            self.hearing.hear(signs, severed=severed, now=self.now)


def test_streams_that_are_answered_are_heard() -> None:
    line = Line()

    line.tick("a", "b", times=100)

    assert line.told == []


def test_a_stream_that_is_not_answered_for_long_is_a_lost_connection_although_others_are() -> None:
    line = Line()
    line.tick("a", "b")

    line.tick("a", times=6)
    in_time = list(line.told)
    line.tick("a", times=6)

    assert in_time == []
    assert line.told == [("connection_lost", 7 * TICK)]


def test_a_connection_to_no_node_is_a_lost_one_at_once_even_before_the_first_answer() -> None:
    line = Line()

    line.tick(severed=True)

    assert line.kinds == ["connection_lost"]


def test_a_connection_is_found_again_once_all_that_is_read_was_answered_since() -> None:
    line = Line()
    line.tick("a", "b")
    line.tick(severed=True, times=3)

    line.tick(times=2)
    line.tick("a", times=2)
    one_is_missing = list(line.kinds)
    line.tick("b")

    assert one_is_missing == ["connection_lost"]
    assert line.kinds == ["connection_lost", "reconnected"]


def test_streams_that_are_read_anew_after_a_loss_are_waited_for_too() -> None:
    """The group has dealt out its partitions again meanwhile."""
    line = Line()
    line.tick("a", read=["a"])
    line.tick(severed=True, read=["a"])

    line.tick(read=["b"])
    too_early = list(line.kinds)
    line.tick("b", read=["b"])

    assert too_early == ["connection_lost"]
    assert line.kinds == ["connection_lost", "reconnected"]


def test_who_reads_nothing_for_want_of_room_does_not_wait_for_answers() -> None:
    """Else what is held back behind a gap would keep the room that its patience waits for."""
    line = Line()
    line.tick("a", "b")
    line.tick(severed=True)

    line.tick(read=[])

    assert line.kinds == ["connection_lost", "reconnected"]


def test_time_that_this_process_slept_is_not_held_against_the_cluster_m19() -> None:
    line = Line()
    line.tick("a", "b")

    line.now += 100.0
    line.tick()
    line.tick("a", "b")

    assert line.told == []


def test_a_stream_that_was_not_read_for_a_while_is_silent_only_from_then_on() -> None:
    line = Line()
    line.tick("a", "b")

    line.tick("a", read=["a"], times=20)
    line.tick("a", times=6)
    line.tick("a", "b")

    assert line.told == []
