"""Dead letters of Kafka Streams, Spring and Connect: read whatever they hold, given back clean."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from choreo.broker import Binding, Capabilities
from choreo.desk.case import CaseReader, restored
from choreo.desk.conventions import CONVENTIONS, SPRING, read, without
from choreo.desk.fingerprint import fingerprint, frame, normalised
from choreo.desk.selection import Selection
from choreo.errors import DecodeError
from choreo.message import Delivery, Header, Message
from choreo.replay import PREFIX, read_decision, without_decision

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
ORIGINAL: list[Header] = [("traceparent", b"00-1-2-03"), ("x", None), ("x", b"\xff")]
STREAMS_HEADERS: list[Header] = [
    ("__streams.errors.exception", b"java.lang.ArithmeticException"),
    ("__streams.errors.message", b"/ by zero"),
    ("__streams.errors.stacktrace", b"java...\n\tat shop.Totals.add(Totals.java:7)\n"),
    ("__streams.errors.topic", b"orders"),
    ("__streams.errors.partition", b"3"),
    ("__streams.errors.offset", b"12345"),
]
SPRING_HEADERS: list[Header] = [
    ("kafka_dlt-original-topic", b"orders"),
    ("kafka_dlt-original-partition", b"\x00\x00\x00\x03"),
    ("kafka_dlt-original-offset", b"\x00\x00\x00\x00\x00\x00\x30\x39"),
    ("kafka_dlt-original-timestamp", b"\x00\x00\x01\x99\x00\x00\x00\x00"),
    ("kafka_dlt-original-consumer-group", b"billing"),
    ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailed"),
    ("kafka_dlt-exception-cause-fqcn", b"java.lang.ArithmeticException"),
    ("kafka_dlt-exception-message", b"/ by zero"),
    ("kafka_dlt-exception-stacktrace", b"java...\n\tat shop.Totals.add(Totals.java:7)\n"),
    ("retry_topic-attempts", b"\x00\x00\x00\x03"),
]
CONNECT_HEADERS: list[Header] = [
    ("__connect.errors.topic", b"orders"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"12345"),
    ("__connect.errors.connector.name", b"billing"),
    ("__connect.errors.task.id", b"0"),
    ("__connect.errors.stage", b"VALUE_CONVERTER"),
    ("__connect.errors.exception.class.name", b"java.lang.ArithmeticException"),
    ("__connect.errors.exception.message", b"/ by zero"),
    ("__connect.errors.exception.stacktrace", b"java...\n\tat shop.Totals.add(Totals.java:7)\n"),
]


@pytest.mark.parametrize(
    ("name", "headers", "group"),
    [
        ("streams", STREAMS_HEADERS, None),
        ("spring", SPRING_HEADERS, "billing"),
        ("connect", CONNECT_HEADERS, "billing"),
    ],
)
def test_each_convention_tells_where_it_came_from_and_what_went_wrong(
    name: str, headers: list[Header], group: str | None
) -> None:
    found = Delivery("some-dlt", b"body", b"key", [*ORIGINAL, *headers], timestamp=0.0)

    case = CaseReader(KAFKA).read(found)

    told = case.told
    assert (told.convention, told.topic, told.stream, told.position) == (
        name,
        "orders",
        "orders-3",
        12345,
    )
    assert (told.error_type, told.error, told.service) == (
        "java.lang.ArithmeticException",
        "/ by zero",
        group,
    )
    assert told.buried == datetime(1970, 1, 1, tzinfo=UTC)
    assert not case.replayable
    message = restored(found, told)
    assert (message.body, message.key, message.headers) == (b"body", b"key", ORIGINAL)


NAMES = st.sampled_from(
    [f"{each.prefix}{name}" for each in CONVENTIONS for name in (
        each.topic, each.partition, each.offset, each.error, each.stack, *each.error_type,
        each.service, each.handler, "",
    )]
    + ["choreo-dlq-id", "choreo-dlq-reason", "choreo-dlq-headers", "choreo-dlq-body", "ce_id"]
    + [f"{PREFIX}{name}" for name in ("letter", "action", "edition", "generation", "time")]
)  # fmt: skip
HEADERS = st.lists(
    st.tuples(st.one_of(NAMES, st.text()), st.one_of(st.none(), st.binary(), st.just(b"\x80" * 9)))
)


@given(st.one_of(st.none(), st.binary()), st.one_of(st.none(), st.binary()), HEADERS)
@example(b"", b"", [("kafka_dlt-original-partition", b"\xff\xff\xff\xff")])
@example(b"", b"", [("__connect.errors.offset", "²".encode())])
@example(b"", b"", [("__connect.errors.offset", b"9" * 99)])
def test_no_header_of_anybody_breaks_the_list(
    body: bytes | None, key: bytes | None, headers: list[Header]
) -> None:
    """T4, T10: hostile values are told as text, or not at all."""
    found = Delivery("dlt", body, key, headers, timestamp=1e300)

    case = CaseReader(KAFKA).read(found)

    assert len(case.id) == 32
    assert Selection(identity=case.id).takes(case)
    told = read(found)
    assert told is None or told.position is None or told.position >= 0
    for convention in CONVENTIONS:
        assert set(without(headers, convention.name)) <= set(headers)


@given(HEADERS)
def test_a_decision_is_read_or_refused(headers: list[Header]) -> None:
    message = Message("t", b"", None, headers)

    try:
        decision = read_decision(message)
    except DecodeError:
        return

    assert decision.generation >= 0
    assert len(without_decision(message)) < len(headers)


def test_numbers_below_zero_and_of_other_lengths_tell_nothing() -> None:
    for value in (b"\xff" * 4, b"\xff" * 8, b"\x01" * 5, b"", b"-1", b"1.5"):
        told = read(Message("t", b"", None, [(f"{SPRING.prefix}{SPRING.offset}", value)]))

        assert told is not None
        assert told.position is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "order 17 of 'ann' (4f1c20aa-9b7d-4c3c-8e6f-0a4c3c9b7d1c) is 3 short",
            "order 9 of 'bob' (9b7d1c0e-6f0a-4c3c-9b7d-4f1c20aa9b7d) is 12 short",
        ),
        ("connect to 10.0.0.7:5432 failed", "connect to 192.168.1.1:5433 failed"),
        ("at 2026-01-31T12:00:00Z: late", "at 2026-02-01T01:00:00.5Z: late"),
        ("<Order at 0x7f8a1c20aa10>", "<Order at 0x7f8a1c20bb20>"),
        ("digest deadbeef00112233", "digest 00112233deadbeef"),
    ],
)
def test_errors_that_differ_in_values_only_have_one_fingerprint(first: str, second: str) -> None:
    assert fingerprint("E", first, None) == fingerprint("E", second, None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("the till is broken", "the till is locked"),
        ("can't open, won't open", "can't close, won't close"),
        ("facade effaced", "decade faded"),
    ],
)
def test_errors_that_say_something_else_have_two(first: str, second: str) -> None:
    assert fingerprint("E", first, None) != fingerprint("E", second, None)
    assert fingerprint("E", first, None) != fingerprint("F", first, None)


@given(st.text(), st.text())
def test_a_text_is_normalised_once_and_for_all(text: str, stack: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    frame(stack)


def test_the_frame_is_told_without_its_line() -> None:
    python = 'File "/app/a.py", line 3, in run | File "/app/pay.py", line 7, in charge | raise'

    assert frame(python) == "pay.py:charge"
    assert frame("java.lang.E: x\n\tat shop.Totals.add(Totals.java:7)\n\tat b.c(D.java)") == (
        "shop.Totals.add"
    )
    assert frame("nothing") is None
