"""What a log line says, and what it never says."""

import asyncio
import io
import json
import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from choreo.context import Context, Site, current
from choreo.envelope import Envelope
from choreo.event import Event
from choreo.logs import IDS, ContextFilter, JsonFormatter, Repeats, TextFormatter, configure
from choreo.message import Delivery

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _emit(_: Context, __: Event, ___: object) -> str:
    raise AssertionError


def attempt(number: int, *, traceparent: str | None = None) -> Context:
    envelope = Envelope(
        id=f"id-{number}",
        source=f"urn:source:{number}",
        type="Placed.v1",
        data=b"",
        correlation_id=f"correlation-{number}",
        causation_id=f"cause-{number}",
        traceparent=traceparent,
    )
    site = Site("shop", f"handler-{number}", _emit)
    return Context(envelope, Delivery("t", b""), number, site)


@contextmanager
def handling(context: Context) -> Generator[None]:
    token = current.set(context)
    try:
        yield
    finally:
        current.reset(token)


@contextmanager
def lines(formatter: logging.Formatter) -> Generator[tuple[logging.Logger, io.StringIO]]:
    """Give a logger of its own, and what it writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(ContextFilter())
    logger = logging.Logger("shop.orders", logging.DEBUG)  # noqa: LOG001 -- in no tree
    logger.addHandler(handler)
    yield logger, stream


def one(stream: io.StringIO) -> dict[str, object]:
    (line,) = stream.getvalue().splitlines()
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_record_made_inside_a_handler_carries_all_ids_of_its_attempt() -> None:
    with lines(JsonFormatter()) as (logger, stream), handling(attempt(7, traceparent=TRACE)):
        logger.info("charged %s", "12.50")

    line = one(stream)
    assert line.pop("time") is not None
    assert line == {
        "level": "info",
        "logger": "shop.orders",
        "message": "charged 12.50",
        "event_id": "id-7",
        "event_source": "urn:source:7",
        "event_type": "Placed.v1",
        "correlation_id": "correlation-7",
        "causation_id": "cause-7",
        "service": "shop",
        "handler": "handler-7",
        "attempt": 7,
        "trace_id": TRACE[3:35],
    }


def test_a_record_made_outside_handlers_has_every_id_as_none_so_that_formats_may_name_them() -> (
    None
):
    format_string = " ".join(f"%({name})s" for name in IDS)
    with lines(logging.Formatter(format_string)) as (logger, stream):
        logger.info("started")

    assert stream.getvalue().split() == ["None"] * len(IDS)


def test_an_id_that_extra_gives_is_kept() -> None:
    with lines(JsonFormatter()) as (logger, stream), handling(attempt(1)):
        logger.warning("abandoned", extra={"event_id": "another", "handler": "other"})

    assert one(stream)["event_id"] == "another"
    assert one(stream)["handler"] == "other"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_ids_of_interleaved_events_never_mix(schedule: list[int]) -> None:  # A10, T1
    """Whatever the order in which tasks go on, each line carries the ids of its own event."""
    with lines(JsonFormatter()) as (logger, stream):
        asyncio.run(_interleaved(logger, schedule))

    for text in stream.getvalue().splitlines():
        line = json.loads(text)
        assert line["event_id"] == f"id-{line['message']}"
        assert line["correlation_id"] == f"correlation-{line['message']}"
        assert line["attempt"] == int(line["message"])


async def _interleaved(logger: logging.Logger, schedule: list[int]) -> None:
    steps = {number: asyncio.Semaphore(0) for number in set(schedule)}
    taken = asyncio.Semaphore(0)

    async def handler(number: int) -> None:
        with handling(attempt(number)):
            for _ in range(schedule.count(number)):
                await steps[number].acquire()
                logger.info("%s", number)
                taken.release()

    async with asyncio.TaskGroup() as tasks:
        for number in steps:
            tasks.create_task(handler(number))
        for number in schedule:
            steps[number].release()
            await taken.acquire()
    assert current.get() is None


def test_ids_reach_a_thread_that_runs_in_a_copy_of_the_context() -> None:  # A10
    with lines(JsonFormatter()) as (logger, stream), ThreadPoolExecutor(1) as pool:
        with handling(attempt(3)):
            inside = copy_context()
        pool.submit(inside.run, logger.info, "in a thread").result()
        pool.submit(logger.info, "and after it").result()

    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["event_id"] == "id-3"
    assert "event_id" not in second


@given(st.text(st.characters(), max_size=200), st.text(st.characters(), max_size=200))
def test_no_text_can_write_a_line_or_a_control_character_of_its_own(  # T4
    message: str, value: str
) -> None:
    for formatter in (JsonFormatter(), TextFormatter()):
        with lines(formatter) as (logger, stream), handling(attempt(1)):
            logger.info("%s", message, extra={"key": value, "nested": {"of": [value]}})

        written = stream.getvalue()
        assert written.endswith("\n")
        assert len(written.splitlines()) == 1
        assert all(character.isprintable() for character in written[:-1])
        written.encode()


def test_json_lines_give_back_what_was_logged() -> None:
    with lines(JsonFormatter()) as (logger, stream):
        logger.info("ünï\x1b[31m\n", extra={"count": 3, "ratio": 0.5, "of": ["a", None, True]})

    assert one(stream) | {"time": None} == {
        "time": None,
        "level": "info",
        "logger": "shop.orders",
        "message": "ünï\x1b[31m\n",
        "count": 3,
        "ratio": 0.5,
        "of": ["a", None, True],
    }


def test_values_are_cut_and_say_so() -> None:  # T4
    with lines(JsonFormatter()) as (logger, stream):
        deep = {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}
        extra = {"big": "y" * 10**6, "many": list(range(10_000)), "n": 10**5_000, "deep": deep}
        logger.info("x" * 10**6, extra=extra)

    line = one(stream)
    assert len(stream.getvalue()) < 20_000
    assert str(line["message"]).startswith("xxx")
    assert str(line["message"]).endswith("characters)")
    assert line["many"] == list(range(64))


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach kafka://user:CANARY@broker:9092/x",
        "connect(password='CANARY', user='u')",
        "sasl_plain_password=CANARY",
        'config {"api_key": "CANARY"}',
        "Authorization: Bearer CANARY.CANARY.CANARY",
        "dsn postgresql+asyncpg://u:CANARY@h/db refused",
        "token: CANARY",
    ],
)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_secret_is_not_logged_wherever_it_stands(  # T12
    formatter: logging.Formatter, text: str
) -> None:
    with lines(formatter) as (logger, stream):
        logger.info(text)
        logger.info("value", extra={"told": text, "nested": {"deeper": [text]}})
        try:
            raise ValueError(text) from KeyError(text)  # noqa: TRY301 -- raised to be seen
        except ValueError:
            logger.exception("failed")

    assert "CANARY" not in stream.getvalue()


def test_a_field_that_is_named_like_a_secret_is_not_logged() -> None:  # T12
    with lines(JsonFormatter()) as (logger, stream):
        extra = {"Client_Secret": "CANARY", "options": {"password": "CANARY"}}
        logger.info("x", extra={**extra, "typed": SecretStr("CANARY")})

    assert "CANARY" not in stream.getvalue()


def test_a_validation_error_is_logged_without_the_input_it_quotes() -> None:  # T12
    class Card(BaseModel):
        number: int

    canary = "CANARY"

    with lines(JsonFormatter()) as (logger, stream):
        try:
            Card.model_validate({"number": canary})
        except ValidationError as error:
            logger.exception("no card: %s", type(error).__name__, extra={"cause": error})

    assert "CANARY" not in stream.getvalue()
    assert "number: int_parsing" in stream.getvalue()


def test_an_error_is_told_with_its_causes_and_where_it_was_raised() -> None:
    with lines(JsonFormatter()) as (logger, stream):
        try:
            try:
                raise LookupError("no such card")  # noqa: TRY301 -- raised to be seen
            except LookupError as error:
                raise RuntimeError("cannot charge") from error
        except RuntimeError:
            logger.exception("failed")

    told = json.loads(stream.getvalue())["error"]
    assert told["type"] == "RuntimeError"
    assert told["text"] == "cannot charge"
    assert told["stack"].index("LookupError: no such card") < told["stack"].index("RuntimeError")
    assert "test_logs.py" in told["stack"]


class Hostile:
    def __str__(self) -> str:
        raise OSError("no text")

    __repr__ = __str__


def test_a_value_that_cannot_be_written_does_not_cost_the_line() -> None:
    with lines(JsonFormatter()) as (logger, stream):
        logger.info("%d items", "three", extra={"odd": Hostile()})
        logger.info("%s", Hostile())

    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"].startswith("%d items")
    assert "OSError" in first["odd"]
    assert "OSError" in second["message"]


def outage(name: str, seconds: float) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": name, "msg": "no way to %s", "args": ("node 1",)})
    record.created = seconds
    return record


def test_a_client_says_of_an_outage_once_in_a_while_what_it_says_all_the_time() -> None:
    repeats = Repeats(["aiokafka"])

    records = [outage("aiokafka.consumer", second / 10) for second in range(250)]
    told = [record for record in records if repeats.filter(record)]

    assert [record.created for record in told] == [0.0, 10.0, 20.0]
    assert [record.__dict__.get("repeated") for record in told] == [None, 99, 99]
    assert repeats.filter(outage("aiokafka.producer", 24.9))


def test_no_line_of_anybody_else_is_left_out() -> None:
    repeats = Repeats(["aiokafka"])

    assert all(repeats.filter(outage("shop.aiokafka", 0)) for _ in range(9))


def test_configure_replaces_what_was_set_up_and_quietens_clients_that_log_payloads() -> None:  # T12
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        for handler in before:
            root.removeHandler(handler)
        configure("DEBUG", json=True, stream=stream)
        logging.getLogger("shop").debug("seen")
        logging.getLogger("aiokafka.producer").debug("key and value")
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = before
        root.setLevel(level)

    assert one(stream)["message"] == "seen"
