"""The adapter's pure parts: topics, packets, mapping, acknowledgements, heartbeat, back-off."""

import itertools
from contextlib import suppress
from random import Random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from choreo.message import Message
from choreo_mqtt.acks import Acks
from choreo_mqtt.heartbeat import Beat, Heartbeat
from choreo_mqtt.mapping import Unsendable, outgoing
from choreo_mqtt.publish_packet import (
    MalformedPublish,
    pack_name,
    pack_properties,
    read_publish,
    varint,
)
from choreo_mqtt.reconnect import Backoff
from choreo_mqtt.takeovers import Takeovers
from choreo_mqtt.topics import filter_problem, matcher, name_problem, text_problem

LEVELS = st.sampled_from(["a", "b", "", "$SYS", "a.b", "+", "#"])
PATHS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=20)


# ── topics ────────────────────────────────────────────────────────────────────────────────────


@given(PATHS, PATHS)
def test_filters_match_as_paho_says(name: str, topic: str) -> None:
    if filter_problem(name) is None and name_problem(topic) is None:
        assert bool(matcher([name]).fullmatch(topic)) == topic_matches_sub(name, topic)


@pytest.mark.parametrize(
    ("name", "topic", "matches"),
    [
        ("a/#", "a", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/+", "a/", True),
        ("a/+", "a/b/c", False),
        ("a", "a\n", False),
    ],
)
def test_filters_match_as_the_standard_says(name: str, topic: str, *, matches: bool) -> None:
    assert bool(matcher([name]).fullmatch(topic)) == matches


def test_no_filters_match_nothing() -> None:
    assert matcher([]).fullmatch("") is None


@pytest.mark.parametrize(
    "topic",
    ["", "a/+", "#", "a\0b", "$SYS/x", "$share/g/t", "a\nb", "\ud800", "\uffff", "x" * 65536],
)
def test_an_unusable_topic_is_refused(topic: str) -> None:
    """M23."""
    assert name_problem(topic) is not None


@pytest.mark.parametrize("name", ["", "a#", "#/a", "a+/b", "a/b+", "\0", "$share/g/t", "$queue/t"])
def test_an_unusable_filter_is_refused(name: str) -> None:
    """M12, M23."""
    assert filter_problem(name) is not None


@given(st.text())
def test_text_that_passes_can_be_sent(text: str) -> None:
    """M23: Mosquitto hangs up on control characters and noncharacters."""
    if text_problem(text) is None:
        text.encode()
        codes = [ord(character) for character in text]
        assert not [c for c in codes if c < 0x20 or 0x7F <= c < 0xA0 or c & 0xFFFE == 0xFFFE]


# ── packets ───────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5), st.none() | TEXTS.filter(bool))
def test_properties_are_written_as_paho_writes_them(
    headers: list[tuple[str, str]], content_type: str | None
) -> None:
    oracle = Properties(PacketTypes.PUBLISH)
    oracle.PayloadFormatIndicator = 1
    if content_type is not None:
        oracle.ContentType = content_type
    for header in headers:
        oracle.UserProperty = header

    ours = pack_properties(
        [(pack_name(name.encode()), value.encode()) for name, value in headers],
        None if content_type is None else content_type.encode(),
        text=True,
    )

    assert ours == cast("bytes", oracle.pack())


def test_every_property_of_a_publish_can_be_read_past() -> None:
    oracle = Properties(PacketTypes.PUBLISH)
    oracle.MessageExpiryInterval = 7
    oracle.ContentType = "text/plain"
    oracle.ResponseTopic = "back"
    oracle.CorrelationData = b"\x00\xff"
    oracle.TopicAlias = 3
    oracle.SubscriptionIdentifier = 200
    oracle.UserProperty = ("a", "b")

    read = read_publish(0b1011, b"\x00\x01t\x00\x05" + cast("bytes", oracle.pack()) + b"body")

    assert read[:6] == ("t", b"body", (("content-type", b"text/plain"), ("a", b"b")), 5, 1, True)


@given(st.binary(max_size=40), st.integers(0, 15))
def test_any_bytes_are_a_publish_or_malformed(packet: bytes, flags: int) -> None:
    with suppress(MalformedPublish):
        read_publish(flags, packet)


# ── mapping ───────────────────────────────────────────────────────────────────────────────────


@given(
    headers=st.lists(st.tuples(TEXTS, TEXTS.map(str.encode)), max_size=6),
    body=st.binary(max_size=50),
    retain=st.booleans(),
)
def test_a_message_survives_the_wire(
    *, headers: list[tuple[str, bytes]], body: bytes, retain: bool
) -> None:
    typed = [("content-type", b"application/json"), *headers]
    sent = outgoing(Message("some/topic", body, headers=typed, retain=retain))
    packet = sent.head + b"\x00\x07" + sent.properties + sent.body
    length = 1 if packet[1] < 128 else 2

    read = read_publish(packet[0] & 0x0F, packet[1 + length :])

    assert read[:4] == ("some/topic", body, tuple(typed), 7)
    assert (read.qos, read.retain, packet[0] >> 4) == (1, retain, 3)
    assert len(packet) == sent.size
    assert varint(len(packet) - 1 - length) == packet[1 : 1 + length]


@pytest.mark.parametrize(
    "message",
    [
        Message("t", None),
        Message("t", b"", headers=[("a", None)]),
        Message("t", b"", headers=[("a", b"\xff")]),
        Message("t", b"", headers=[("a", b"line\nline")]),
        Message("t", b"", headers=[("a\0", b"")]),
        Message("t", b"", headers=[("a\ud800", b"")]),
        Message("t", b"", headers=[("a", b"x" * 65536)]),
        Message("t", b"", headers=[("content-type", b"\xff")]),
        Message("t", bytes(268_435_456)),
    ],
)
def test_what_mqtt_cannot_say_is_refused(message: Message) -> None:
    with pytest.raises(Unsendable):
        outgoing(message)


@pytest.mark.parametrize(
    ("content_type", "body", "indicator"),
    [
        (b"application/json", b"{}", b"\x01\x01"),
        (b"application/cloudevents+json", "{ü}".encode(), b"\x01\x01"),
        (b"application/json", b"\xff", b""),
        (b"application/avro", b"{}", b""),
    ],
)
def test_the_payload_format_indicator_is_true(
    content_type: bytes, body: bytes, indicator: bytes
) -> None:
    """A strict broker refuses (0x99) a body that is not the UTF-8 it is said to be."""
    sent = outgoing(Message("t", body, headers=[("content-type", content_type)]))

    assert sent.properties[1:].startswith(indicator + b"\x03")


def test_a_tombstone_that_is_kept_deletes_the_kept_value() -> None:
    assert outgoing(Message("t", None, retain=True)).body == b""


# ── acknowledgements ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_acknowledgements_are_the_done_prefix(order: tuple[int, ...]) -> None:
    """M4."""
    acks = Acks()
    positions = [acks.arrived(mid) for mid in (9, 3, 7, 1, 5)]
    sent: list[int] = []
    done: set[int] = set()
    for index in order:
        acks.finish(positions[index])
        done.add(index)
        sent += acks.due()
        prefix = next((i for i in range(5) if i not in done), 5)
        assert sent == [9, 3, 7, 1, 5][:prefix]


def test_a_restart_forgets_packet_ids_and_not_positions() -> None:
    """M3."""
    acks = Acks()
    old = [acks.arrived(mid) for mid in (1, 2)]
    acks.finish(old[0])
    acks.restart()
    new = acks.arrived(1)
    for position in old:
        acks.finish(position)

    assert list(acks.due()) == []
    assert new == 2
    assert acks.finish(new)
    assert list(acks.due()) == [1]


def test_messages_without_packet_id_want_no_acknowledgement() -> None:
    acks = Acks()
    for position in [acks.arrived(mid) for mid in (0, 4, 0)]:
        acks.finish(position)

    assert list(acks.due()) == [4]


# ── heartbeat, back-off, takeovers ────────────────────────────────────────────────────────────


def test_a_ping_without_an_answer_is_the_end() -> None:
    heartbeat = Heartbeat(interval=10, timeout=3, longest_tick=2, now=0)

    beats = [heartbeat.tick(now=float(now), heard=0, paused=False) for now in range(16)]

    assert beats.index(Beat.PING) == 10
    assert beats.index(Beat.DEAD) == 14


def test_anything_heard_is_an_answer() -> None:
    heartbeat = Heartbeat(interval=10, timeout=3, longest_tick=2, now=0)

    beats = [heartbeat.tick(now=float(now), heard=now // 2, paused=False) for now in range(60)]

    assert Beat.DEAD not in beats
    assert beats.count(Beat.PING) == 5


def test_time_that_we_slept_is_not_held_against_the_broker() -> None:
    """M19."""
    heartbeat = Heartbeat(interval=10, timeout=3, longest_tick=2, now=0)
    heartbeat.tick(now=10, heard=0, paused=False)

    assert heartbeat.tick(now=1000, heard=0, paused=False) is Beat.PING
    assert heartbeat.tick(now=1001, heard=1, paused=False) is Beat.NOTHING


def test_silence_while_nothing_is_read_says_nothing() -> None:
    heartbeat = Heartbeat(interval=10, timeout=3, longest_tick=2, now=0)

    beats = [heartbeat.tick(now=float(now), heard=0, paused=True) for now in range(60)]

    assert Beat.DEAD not in beats
    assert beats.count(Beat.PING) == 5


def test_back_off_grows_to_its_limit_and_starts_again_after_a_steady_connection() -> None:
    backoff = Backoff(first=1, longest=8, random=Random(1))
    nominal = [1, 2, 4, 8, 8]

    pauses = [backoff.failed() for _ in nominal]

    assert all(n / 2 <= pause <= n for n, pause in zip(nominal, pauses, strict=True))
    assert backoff.failed(lasted=1) >= 4
    assert backoff.failed(lasted=60) <= 1


def taken(watch: Takeovers, now: float) -> bool:
    """Throw the client out, and let it back unless it gave up; tell whether it did."""
    gave_up = watch.closed(certain=True, silent=False, elsewhere=None, now=now)
    assert gave_up or watch.judge(session_present=True, elsewhere=None, now=now)
    return gave_up


def test_takeovers_are_counted_per_minute() -> None:
    """M11."""
    slow, fast = Takeovers(), Takeovers()

    assert not any(taken(slow, 21.0 * n) for n in range(20))
    assert [taken(fast, 1.0 * n) for n in range(4)] == [False, False, False, True]


def test_of_two_clients_with_one_id_the_later_one_stays() -> None:
    """M11: whoever gives up has not thrown the other out again."""
    older, newer = Takeovers(), Takeovers()
    thrown_out, other = older, newer
    now = 0.0

    while not taken(thrown_out, now):
        thrown_out, other = other, thrown_out
        now += 1

    assert (thrown_out, other) == (older, newer)
    assert not taken(newer, now + 60)


@pytest.mark.parametrize(
    ("silent", "before", "after", "present", "takeover"),
    [
        (True, 1, 1, True, True),
        (True, 1, 2, True, False),
        (True, None, None, True, False),
        (True, 1, None, True, False),
        (True, 1, 1, False, False),
        (False, 1, 1, True, False),
    ],
)
def test_a_silent_end_is_a_takeover_only_if_all_else_stayed(
    *, silent: bool, before: int | None, after: int | None, present: bool, takeover: bool
) -> None:
    """M11: a broker or a network that went away takes the other connection, or the session."""
    watch = Takeovers()
    watch.closed(certain=False, silent=silent, elsewhere=before, now=0)

    assert watch.judge(session_present=present, elsewhere=after, now=0) is takeover
    assert not watch.judge(session_present=present, elsewhere=after, now=0)
