import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.errors import ConfigurationError, EncodeError
from choreo.topic import Topic

ROOM = Topic("building/{building}/room/{room}/temperature")


def test_one_declaration_serves_brokers_with_and_without_levels() -> None:
    assert ROOM.fill({"building": "A", "room": 7}) == "building/A/room/7/temperature"
    assert ROOM.filter == "building/+/room/+/temperature"
    assert ROOM.flat == "building.room.temperature"
    assert ROOM.fields == ("building", "room")
    assert Topic("orders").filter == Topic("orders").flat == "orders"


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_value_adds_a_level_a_wildcard_or_a_control_character_m23(
    building: str, room: str
) -> None:
    try:
        name = ROOM.fill({"building": building, "room": room})
    except EncodeError:
        return

    assert name.count("/") == ROOM.template.count("/")
    assert not set(name) & set("+#$\0")
    assert name.isascii()
    assert name.isprintable()


def test_fields_are_read_back_from_a_filled_topic() -> None:
    assert ROOM.values("building/A/room/7/temperature") == {"building": "A", "room": "7"}
    assert ROOM.values("building/A/room/7/humidity") == {}


@given(st.text(min_size=1, max_size=20))
def test_what_was_filled_in_is_read_back_unchanged(value: str) -> None:
    try:
        name = ROOM.fill({"building": value, "room": "1"})
    except EncodeError:
        return

    assert ROOM.values(name)["building"] == value


def test_an_empty_value_has_no_level() -> None:
    with pytest.raises(EncodeError, match="room"):
        ROOM.fill({"building": "A", "room": ""})


@pytest.mark.parametrize(
    "template",
    [
        "",
        "/",
        "a//b",
        "/a",
        "a/",
        "a b",
        "a+",
        "#",
        "{x}",
        "a/{x",
        "a/x}",
        "a/b{x}",
        "a/{1x}",
        "a" * 250,
    ],
)
def test_an_unusable_topic_is_refused_when_it_is_written_k33(template: str) -> None:
    with pytest.raises(ConfigurationError):
        Topic(template)


def test_a_field_that_a_template_names_twice_is_the_same_twice() -> None:
    """Found by fuzzing: reading the name of such a topic raised an error of the library's."""
    topic = Topic("site/{site}/mirror/{site}")

    assert topic.values("site/a/mirror/a") == {"site": "a"}
    assert topic.values("site/a/mirror/b") == {}
