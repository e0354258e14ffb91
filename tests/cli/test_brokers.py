"""Publishing, reading and looking into dead letters on real brokers, round and round."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from choreo.broker import open_broker
from choreo.cli.exit_codes import ExitCode
from choreo.message import Message
from choreo.testing import Harness
from tests.cli.program import Commands
from tests.local import KafkaPart, MqttPart, wait_until

SHOP = "tests.cli.shop"
ORDER = f"{SHOP}:OrderPlaced"

FreshName = Callable[[str], str]


@pytest.fixture(name="on_kafka")
def _on_kafka(choreo: Commands, kafka: KafkaPart, fresh_name: FreshName) -> Commands:
    """Return commands on Kafka, with names that nobody else uses."""
    choreo.stem = fresh_name("cli")
    choreo.settings = {"broker": kafka.url, "create_topics": "true"}
    kafka.create_topic(f"{choreo.stem}-orders", partitions=4)
    return choreo


@pytest.fixture(name="on_mqtt")
def _on_mqtt(choreo: Commands, mosquitto: MqttPart, fresh_name: FreshName) -> Commands:
    """Return commands on MQTT, with names that nobody else uses."""
    choreo.stem = fresh_name("cli")
    choreo.settings = {"broker": mosquitto.url}
    return choreo


def test_what_is_published_is_read_again(on_kafka: Commands) -> None:
    conversation = str(uuid4())
    arguments = (ORDER, '{"order_id": "o-1", "total": 7}', "--correlation", conversation)

    published = on_kafka.run("publish", *arguments, "--id", "given", "--json")
    read = on_kafka.run("tail", f"{on_kafka.stem}-orders", "--no-follow", "--json")

    assert published.objects == [
        {"id": "given", "type": "OrderPlaced.v1", "topic": f"{on_kafka.stem}-orders", "key": "o-1"}
    ]
    (record,) = read.objects
    assert record["data"] == {"order_id": "o-1", "total": 7}
    assert record["key"] == "o-1"
    assert record["envelope"]["id"] == "given"
    assert record["envelope"]["correlationid"] == conversation
    assert record["envelope"]["source"] == "urn:choreo:cli"


def test_lines_are_published_in_order_until_one_is_no_event(on_kafka: Commands) -> None:
    lines = [f'{{"order_id": "one", "total": {number}}}' for number in range(1200)]
    lines[1000] = '{"order_id": "one", "total": "much"}'

    published = on_kafka.run("publish", ORDER, "-", "--json", stdin="\n".join(lines))
    read = on_kafka.run(
        "tail", f"{on_kafka.stem}-orders", "--no-follow", "--from-beginning", "--json"
    )

    assert published.code == ExitCode.INVALID_INPUT
    assert published.error["kind"] == "InvalidInput"
    assert "line 1001 is no OrderPlaced: total:" in published.error["message"]
    assert "1000 events were published" in published.error["message"]
    assert [record["data"]["total"] for record in read.objects] == list(range(1000))
    ids = [line["id"] for line in published.objects]
    assert [record["envelope"]["id"] for record in read.objects] == ids


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('{"total": 1}', "order_id: Field required"),
        ('{"order_id": "1", "total": "x"}', "total: Input should be a valid integer"),
        ("{", "Invalid JSON"),
    ],
)
def test_an_event_that_does_not_fit_is_not_published(
    choreo: Commands, data: str, says: str
) -> None:
    outcome = choreo.run("publish", ORDER, data, "--broker", "kafka://127.0.0.1:1")

    assert outcome.code == ExitCode.INVALID_INPUT
    assert says in outcome.err


def test_an_empty_id_is_no_wish_for_a_new_one(on_kafka: Commands) -> None:
    """A script whose variable is empty must not make a new event at each run."""
    arguments = (ORDER, '{"order_id": "1"}', "--id", "")

    outcome = on_kafka.run("publish", *arguments)

    assert outcome.code == ExitCode.INVALID_INPUT
    assert "'id' is empty" in outcome.err


def test_a_publisher_without_a_broker_says_so_in_one_line(choreo: Commands) -> None:
    outcome = choreo.run(
        "publish", ORDER, '{"order_id": "1"}', "--broker", "kafka://127.0.0.1:1", "--json"
    )

    assert outcome.code == ExitCode.UNREACHABLE
    assert outcome.error["kind"] == "ConnectionLost"
    assert len(outcome.err.splitlines()) == 1


def test_tail_shows_what_was_asked_for(on_kafka: Commands) -> None:
    topic = f"{on_kafka.stem}-orders"
    for number in range(3):
        on_kafka.run("publish", ORDER, f'{{"order_id": "{number}"}}', "--correlation", f"c{number}")

    def shown(*options: str) -> list[str]:
        outcome = on_kafka.run("tail", topic, "--json", "--no-follow", *options)
        return sorted(record["data"]["order_id"] for record in outcome.objects)

    assert shown() == ["0", "1", "2"]
    assert len(shown("--limit", "2")) == 2
    assert shown("--correlation", "c1") == ["1"]
    assert shown("--type", "OrderPlaced") == ["0", "1", "2"]
    assert shown("--type", "OrderPlaced.v1", "--from-beginning") == ["0", "1", "2"]
    assert shown("--type", "PaymentTaken") == []


async def test_what_tail_records_is_published_again_in_a_world(
    on_kafka: Commands, tmp_path: Path
) -> None:
    topic, file = f"{on_kafka.stem}-orders", tmp_path / "orders.jsonl"
    for number in range(3):
        on_kafka.run("publish", ORDER, f'{{"order_id": "one", "total": {number}}}')
    async with open_broker(on_kafka.settings["broker"]) as broker:
        await broker.publish(
            [Message(topic, b"\xff\x00", None, [("odd", b"\xfe"), ("none", None)])]
        )

    on_kafka.run("tail", topic, "--no-follow", "--from-beginning", "--record", str(file))
    async with Harness() as world:
        replayed = await world.replay(file)

    assert replayed == 4
    recorded = {(m.topic, m.body, m.key, tuple(m.headers)) for m in world.messages}
    assert (topic, b"\xff\x00", None, (("odd", b"\xfe"), ("none", None))) in recorded
    totals = [json.loads(m.body)["total"] for m in world.messages if m.key == b"one" and m.body]
    assert totals == [0, 1, 2]


async def test_tail_cannot_be_made_to_write_to_the_terminal(on_kafka: Commands) -> None:
    """Trap T4: keys, headers and payloads hold whatever somebody else wrote."""
    evil = b"\x1b[31mred\r\n\x07\x7f\xe2\x80\xae\xff"
    quoted = json.dumps({"order_id": "\x1b[31mred\r\n\x07\x7f\u202e\ud800"}, ensure_ascii=True)
    topic = f"{on_kafka.stem}-orders"
    async with open_broker(on_kafka.settings["broker"]) as broker:
        await broker.publish([Message(topic, evil, evil, [("name\x1b", evil)])])
        await broker.publish([Message(topic, quoted.encode(), evil)])

    text = on_kafka.run("tail", topic, "--no-follow").out
    objects = on_kafka.run("tail", topic, "--no-follow", "--json")

    assert "red" in text
    assert len(objects.objects) == 2
    for out in (text, objects.out):
        assert all(each.isprintable() for each in out.replace("\n", ""))


@pytest.mark.parametrize("broker", ["on_kafka", "on_mqtt"])
def test_tail_follows_what_comes_until_a_signal(
    request: pytest.FixtureRequest, broker: str
) -> None:
    choreo: Commands = request.getfixturevalue(broker)
    choreo.run("publish", ORDER, '{"order_id": "before"}')
    program = choreo.start("tail", f"{choreo.stem}-orders", "--json")

    def published() -> bool:
        choreo.run("publish", ORDER, '{"order_id": "1"}')
        return bool(program.out)

    program.until(published, "an event was shown")
    program.signal(signal.SIGINT)
    outcome = program.ended()

    assert outcome.code == ExitCode.OK
    assert outcome.objects[0]["data"] == {"order_id": "1", "total": 0}


def test_tail_ends_with_whoever_reads_it(on_kafka: Commands) -> None:
    lines = "\n".join(f'{{"order_id": "{number}"}}' for number in range(5000))
    on_kafka.run("publish", ORDER, "-", stdin=lines)
    program = ["tail", f"{on_kafka.stem}-orders", "--from-beginning", "--json"]

    code, first, err = on_kafka.run_for_one_line(*program)

    assert json.loads(first)["envelope"]["type"] == "OrderPlaced.v1"
    assert code == 128 + signal.SIGPIPE
    assert err == ""


@pytest.mark.parametrize("broker", ["on_kafka", "on_mqtt"])
def test_dead_letters_are_counted_and_shown_whole(
    request: pytest.FixtureRequest, broker: str
) -> None:
    choreo: Commands = request.getfixturevalue(broker)
    service = f"{choreo.stem}-payments"
    program = choreo.start("run", f"{SHOP}:payments", "--json")
    program.until_logged("service is running")
    for number in range(3):
        choreo.run("publish", ORDER, f'{{"order_id": "o-{number}", "total": -1}}')
    program.until_logged("event went to the dead letters", 3)

    listed = choreo.run("dlq", "list", "--service", service, "--json")
    shown = choreo.run("dlq", "show", "--service", service, "--json", "--reason", "rejected")
    table = choreo.run("dlq", "list", "--service", service)
    page = choreo.run("dlq", "show", "--service", service, "--limit", "1")

    (summary,) = listed.objects
    (group,) = summary["groups"]
    assert (summary["total"], group["count"]) == (3, 3)
    assert (group["reason"], group["handler"]) == ("rejected", "charge")
    assert group["type"] == "OrderPlaced.v1"
    assert len(shown.objects) == 3
    for entry in shown.objects:
        assert entry["fingerprint"] == group["fingerprint"]
        assert entry["letter"]["error"].endswith("a negative total")
        assert entry["message"]["topic"] == f"{choreo.stem}-orders"
        assert entry["message"]["data"]["total"] == -1
    assert "rejected" in table.out
    assert "a negative total" in page.out
    one = shown.objects[0]["letter"]["id"]
    assert len(choreo.run("dlq", "show", one, "-s", service, "--json").objects) == 1


def test_dead_letters_that_are_not_there_have_a_code_of_their_own(on_kafka: Commands) -> None:
    program = on_kafka.start("run", f"{SHOP}:payments", "--json")
    program.until_logged("service is running")
    service = f"{on_kafka.stem}-payments"

    listed = on_kafka.run("dlq", "list", "--service", service, "--json")
    shown = on_kafka.run("dlq", "show", "--service", service, "--json")

    assert listed.objects == [
        {"service": service, "topic": None, "total": 0, "states": {}, "groups": []}
    ]
    assert shown.code == ExitCode.NOT_FOUND
    assert shown.error["kind"] == "NothingFound"


def test_a_service_that_never_ran_has_no_dead_letters(on_kafka: Commands) -> None:
    service = f"{on_kafka.stem}-payments"

    listed = on_kafka.run("dlq", "list", "--service", service, "--json")
    table = on_kafka.run("dlq", "list", "--service", service)
    shown = on_kafka.run("dlq", "show", "--service", service)

    assert (listed.code, listed.objects[0]["total"]) == (ExitCode.OK, 0)
    assert table.code == ExitCode.OK
    assert "0 " in table.out
    assert shown.code == ExitCode.NOT_FOUND


def test_a_topic_that_does_not_exist_is_named(on_kafka: Commands) -> None:
    outcome = on_kafka.run("tail", f"{on_kafka.stem}-nowhere", "--no-follow")

    assert outcome.code == ExitCode.CONFIGURATION
    assert f"{on_kafka.stem}-nowhere" in outcome.err


@pytest.mark.timeout(120)
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(on_kafka: Commands) -> None:
    program = on_kafka.start("run", f"{SHOP}:payments", "--workers", "2", "--json")
    program.until_logged("service is running", 2)
    pids = [line["pid"] for line in program.logged("worker started")]
    numbers = range(400)
    lines = "\n".join(f'{{"order_id": "{number}", "total": 20}}' for number in numbers)

    on_kafka.run("publish", ORDER, "-", stdin=lines)
    program.until(lambda: len(on_kafka.notes) > 40, "orders are being charged")
    os.kill(pids[0], signal.SIGKILL)
    program.until_logged("worker started", 3)
    program.until(lambda: len(_ended(on_kafka)) == len(numbers), "all orders were charged")
    program.signal(signal.SIGTERM)
    outcome = program.ended()

    assert outcome.code == ExitCode.OK
    (death,) = program.logged("worker died, starting another")
    assert death["exit_code"] == 128 + signal.SIGKILL
    assert len(program.logged("worker stopped")) == 2
    assert not [pid for pid in _pids(program.logged("worker started")) if _lives(pid)]


def test_a_second_signal_kills_all_workers(on_kafka: Commands) -> None:
    program = on_kafka.start("run", f"{SHOP}:payments", "--workers", "2", "--json")
    program.until_logged("service is running", 2)
    on_kafka.run("publish", ORDER, '{"order_id": "slow", "total": 60000}')
    program.until(lambda: on_kafka.notes, "an order is being charged")

    program.signal(signal.SIGTERM)
    program.until_logged("service is stopping", 2)
    program.signal(signal.SIGTERM)
    outcome = program.ended()

    assert outcome.code == 128 + signal.SIGTERM
    pids = _pids(program.logged("worker started"))
    wait_until(lambda: not any(map(_lives, pids)), "workers are gone")


def test_a_mistake_that_every_worker_would_make_ends_them_all(on_kafka: Commands) -> None:
    on_kafka.settings = {"broker": on_kafka.settings["broker"]}

    outcome = on_kafka.run("run", f"{SHOP}:ticker", "--workers", "2", "--json")

    assert outcome.code == ExitCode.CONFIGURATION
    assert f"{on_kafka.stem}-ticks" in outcome.err


def _ended(choreo: Commands) -> set[str]:
    return {line.split()[1] for line in choreo.notes if line.startswith("end")}


def _pids(lines: list[dict[str, int]]) -> list[int]:
    return [line["pid"] for line in lines]


def _lives(pid: int) -> bool:
    """Tell whether the process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
