"""Where partitions are read from, and what is kept beside an offset."""

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from choreo.delivery.watermark import Watermark
from choreo_kafka.offsets import first_start, partition_count, recorded, resumed

P0, P3 = TopicPartition("t", 0), TopicPartition("t", 3)


def test_what_was_finished_above_the_offset_is_known_to_the_next_owner() -> None:
    """R9, K1."""
    mark = Watermark(10)
    for position in range(10, 20):
        mark.take(position)
    for position in (12, 13, 17):
        mark.finish(position)

    text = recorded(mark.metadata(4000)[0], 8)
    place = resumed(P0, OffsetAndMetadata(mark.position, text), 8)

    assert place.offset == 10
    assert [n for n in range(10, 20) if n in place.finished] == [12, 13, 17]
    assert place.grew_from is None


def test_a_topic_that_grew_is_noticed_from_the_last_commit() -> None:
    """K25."""
    assert resumed(P0, OffsetAndMetadata(5, recorded("", 3)), 6).grew_from == 3


def test_metadata_of_other_tools_is_no_obstacle() -> None:
    for text in ("", "by hand", "c1!!!;p4", ";p", "c1AAAA"):
        place = resumed(P0, OffsetAndMetadata(5, text), 4)
        assert place.offset == 5
        assert len(place.finished) == 0
    assert partition_count("by hand") is None


def test_a_partition_younger_than_its_group_is_read_from_its_beginning() -> None:
    """K24: nothing written before it was discovered may be skipped."""
    before = {P0: OffsetAndMetadata(5, recorded("", 3))}

    assert first_start(P3, before, "latest") == "earliest"
    assert first_start(TopicPartition("t", 2), before, "latest") == "latest"
    assert first_start(P3, {}, "latest") == "latest"
