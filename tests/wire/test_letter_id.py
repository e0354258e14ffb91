"""What is kept of other letters changes nothing of one: each is as if it were written by itself."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from choreo.broker import Binding, Capabilities
from choreo.dead_letter import MAX_ERROR, MAX_NAME, MAX_ORIGIN, SHORT_ERROR, Failure, bury
from choreo.letter_id import PREFIX, USUAL, again_by, letter_id
from choreo.message import Delivery, Header
from choreo.reason import Reason
from choreo.replay import Replayed
from choreo.timestamps import rfc3339

KAFKA = Capabilities(
    binding=Binding.KAFKA, system="kafka", keys=True, durable=True, resumes=True, groups=True,
    binary_headers=True, tombstones=True, topic_levels=False, retained=False, browsable=True,
)  # fmt: skip
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)

long = st.integers(USUAL - 3, USUAL + 3).map(lambda length: "n" * length)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | long
headers = st.lists(st.tuples(st.text("abc", min_size=1), st.none() | st.binary()), max_size=4)


def framed(*parts: bytes) -> str:
    text = b"".join(b"%d:" % len(part) + part for part in parts)
    return sha256(text).hexdigest()[:32]


@given(names, names, names, names, st.integers(0, 2**63))
@example("n" * USUAL, "", "", "", 0)
def test_where_positions_last_they_name_a_letter(
    service: str, handler: str, topic: str, stream: str, position: int
) -> None:
    source = Delivery(topic, b"", stream=stream, position=position)

    found = letter_id(source, service, handler, Binding.KAFKA)

    known = (each.encode() for each in (service, handler, topic, stream))
    assert found == framed(*known, b"%d" % position)


@given(names, names, names, headers, st.none() | st.binary())
def test_on_mqtt_all_of_the_message_names_a_letter(
    service: str, handler: str, topic: str, some: list[Header], body: bytes | None
) -> None:
    source = Delivery(topic, body, headers=[*some, (f"{PREFIX}id", b"another's")], position=7)

    found = letter_id(source, service, handler, Binding.MQTT)

    known = (each.encode() for each in (service, handler, topic))
    came = (part for name, value in some for part in (name.encode(), value or b""))
    assert found == framed(*known, *came, body or b"")


@given(names, names)
def test_a_letter_of_another_handler_is_named_after_both(letter: str, other: str) -> None:
    assert again_by(letter, other) == framed(letter.encode(), other.encode())


def told(text: str, limit: int = MAX_NAME) -> bytes:
    kept = "".join(each if each.isprintable() else " " for each in text)
    return kept.encode()[:limit].decode("utf-8", "ignore").encode()


legible = st.text(st.sampled_from("aZ.-ü€\U0001f600"), max_size=12) | st.sampled_from(
    ("é" * MAX_NAME, "a" * (MAX_NAME + 1))
)
errors = st.text(st.sampled_from("a ü\n\U0001f600"), max_size=20) | st.sampled_from(
    ("\U0001f600" * SHORT_ERROR, "e" * (SHORT_ERROR + 1), "ü" * (MAX_ERROR + 1))
)


failures = st.builds(
    Failure,
    reason=st.sampled_from(Reason),
    service=legible,
    at=st.datetimes(timezones=st.just(UTC)),
    handler=legible | st.none(),
    attempts=st.integers(0, 50),
    first_failed=st.datetimes(timezones=st.just(UTC)),
    error=errors.map(ValueError),
)


@given(failures, legible, legible, st.booleans())
def test_a_letter_tells_all_that_is_known_in_its_place(
    failure: Failure, topic: str, stream: str, again: bool
) -> None:
    first, handler = failure.first_failed or AT, failure.handler
    source = Delivery(topic, b"{}", b"k", [("a", b"1")], stream=stream, position=41)
    if again:
        source = Replayed(
            topic=topic, body=b"{}", key=b"k", headers=[("a", b"1")], letter="f" * 32,
            handler=handler, generation=2, forced=False, first_failed=first, origin=(stream, 41),
            stream="replays", position=9,
        )  # fmt: skip

    letter = bury(source, failure, KAFKA)

    identity = letter_id(source, failure.service, handler, Binding.KAFKA)
    wanted = {
        "id": identity.encode(), "reason": failure.reason.encode(), "group": told(failure.service),
        "destination": told(topic, MAX_ORIGIN), "partition": told(stream), "offset": b"41",
        "attempts": b"%d" % failure.attempts, "first-failure": rfc3339(first).encode(),
        "time": rfc3339(failure.at).encode(),
    }  # fmt: skip
    wanted |= {} if handler is None else {"handler": told(handler)}
    wanted |= {"replays": b"2"} if again else {}
    wanted |= {"error-type": b"builtins.ValueError"}
    wanted |= {"error-message": told(str(failure.error), MAX_ERROR)}
    assert list(letter.headers) == [
        ("a", b"1"),
        *((f"{PREFIX}{name}", value) for name, value in wanted.items()),
    ]
    assert (letter.body, letter.key, letter.retain) == (b"{}", b"k", False)


@pytest.mark.parametrize("letters", [300])
def test_more_names_than_are_kept_are_told_apart(letters: int) -> None:
    """Looked up in turn, twice, so that what was kept first has gone meanwhile."""
    for _ in range(2):
        for number in range(letters):
            source = Delivery(f"t{number}", b"", stream="s", position=1)
            assert letter_id(source, "b", "h", Binding.KAFKA) == framed(
                b"b", b"h", b"t%d" % number, b"s", b"1"
            )
