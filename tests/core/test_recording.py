"""A recording holds messages whole, and what is none is told by file and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo import recording
from choreo.errors import ConfigurationError
from choreo.message import Delivery, Message

DATA = st.none() | st.binary(max_size=50)


@given(
    st.text(max_size=20).filter(lambda text: "\n" not in text),
    DATA,
    DATA,
    st.lists(st.tuples(st.text(max_size=9), DATA)),
)
def test_a_message_is_read_as_it_was_written(
    topic: str,
    body: bytes | None,
    key: bytes | None,
    headers: list[tuple[str, bytes | None]],
) -> None:
    delivery = Delivery(topic, body, key, headers)

    assert recording.message(recording.line(delivery)) == Message(topic, body, key, headers)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"topic":1}', '{"topic":"a","headers":{}}'])
def test_what_is_no_recorded_message_is_told_by_file_and_line(line: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text(recording.line(Delivery("a", b"b")) + f"\n{line}\n")

    with pytest.raises(ConfigurationError, match=r"orders\.jsonl, line 2 is no recorded message"):
        recording.read(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no recording"):
        recording.read(tmp_path / "nowhere")
