"""Messages of whatever make are shown, safely and as they are."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.broker import Binding, Capabilities
from choreo.cli.exit_codes import ExitCode
from choreo.cli.record import Recorder, as_json, decoded, lines, moment
from choreo.message import Delivery
from choreo.telemetry.text import printable

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
KAFKA = Capabilities(
    binding=Binding.KAFKA,
    system="test",
    keys=True,
    durable=True,
    resumes=True,
    groups=True,
    binary_headers=True,
    tombstones=True,
    topic_levels=False,
    retained=False,
    browsable=True,
)


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        (None, None, "none"),
        (b"", None, "text"),
        (b'{"a": 1}', None, "json"),
        (b'{"a": 1}', "application/vnd.shop+json; charset=utf-8", "json"),
        (b'{"a": 1}', "application/avro", "text"),
        (b"NaN", "application/json", "text"),
        (b"[" * 100_000, "application/json", "text"),
        (b"1e999", "application/json", "text"),
        (b"9" * 5_000, "application/json", "text"),
        (b"\xff\xfe", "application/json", "base64"),
        (b"\x1b[31m", "text/plain", "base64"),
    ],
)
def test_a_body_is_shown_in_the_encoding_that_fits(
    body: bytes | None, content_type: str | None, encoding: str
) -> None:
    assert decoded(body, content_type)[0] == encoding


@given(
    st.one_of(st.none(), st.binary()),
    st.one_of(st.none(), st.binary()),
    st.lists(st.tuples(st.text(), st.one_of(st.none(), st.binary()))),
    st.one_of(st.none(), st.floats()),
)
def test_nothing_that_arrives_breaks_the_display(
    body: bytes | None,
    key: bytes | None,
    headers: list[tuple[str, bytes | None]],
    timestamp: float | None,
) -> None:
    """Trap T4."""
    delivery = Delivery(topic="t", body=body, key=key, headers=headers, timestamp=timestamp)
    record = Recorder(KAFKA).read(delivery)

    text = json.dumps(as_json(record), allow_nan=False)

    assert text.isascii()
    assert all(printable(line).isprintable() for line in lines(record))


def test_a_time_that_no_calendar_has_is_left_out() -> None:
    assert moment(1e300) is None
    assert moment(0.0) == "1970-01-01T00:00:00.000000Z"


def test_the_page_lists_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCS.read_text(), re.MULTILINE)}

    assert listed == set(ExitCode)
