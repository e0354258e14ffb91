"""The commands of the dead-letter desk, as a person or a script uses them."""

import os
import pty
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from choreo.broker import open_broker
from choreo.cli.exit_codes import ExitCode
from choreo.message import Header, Message
from tests.cli.program import SCRIPT, Commands, Outcome, Program
from tests.local import KafkaPart, MqttPart

SHOP = "tests.cli.shop"
PAYMENTS = f"{SHOP}:payments"
ORDER = f"{SHOP}:OrderPlaced"
LATER = "tests.cli.later_shop:payments"

FreshName = Callable[[str], str]


@dataclass
class Desk:
    """A shop that has rejected three orders of two keys, and the commands about them."""

    commands: Commands
    shop: Program

    def dlq(self, command: str, *arguments: str, stdin: str = "") -> Outcome:
        name = f"{self.commands.stem}-payments"
        return self.commands.run("dlq", command, *arguments, "-s", name, "--json", stdin=stdin)

    def at_terminal(self, answer: str, command: str, *arguments: str, **variables: str) -> int:
        """Run a command for somebody who types *answer*; return its exit code."""
        keyboard, screen = pty.openpty()
        try:
            child = subprocess.Popen(
                [SCRIPT, "dlq", command, *arguments, "-s", f"{self.commands.stem}-payments"],
                stdin=screen,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.commands.folder,
                env={**self.commands.environment({}), **variables},
            )
            os.write(keyboard, f"{answer}\n".encode())
            return child.wait(30)
        finally:
            os.close(keyboard)
            os.close(screen)

    def mend(self) -> None:
        """Start the shop anew, in a version that takes what it has rejected."""
        self.shop.signal(signal.SIGTERM)
        self.shop.ended()
        self.commands.variables["CLI_MENDED"] = "true"
        self.shop = self.commands.start("run", PAYMENTS, "--json")
        self.shop.until_logged("service is running")

    def until_charged(self, count: int) -> list[str]:
        """Wait for *count* orders that were charged; tell them in order."""
        self.shop.until(lambda: len(self.charged) >= count, f"{count} orders were charged")
        return self.charged

    @property
    def charged(self) -> list[str]:
        return [line.split()[1] for line in self.commands.notes if line.startswith("end")]


@pytest.fixture(name="desk", params=["real_kafka", "mosquitto"])
def _desk(request: pytest.FixtureRequest, choreo: Commands, fresh_name: FreshName) -> Desk:
    part: KafkaPart | MqttPart = request.getfixturevalue(request.param)
    choreo.stem = fresh_name("desk")
    choreo.settings = {"broker": part.url}
    if isinstance(part, KafkaPart):
        choreo.settings["create_topics"] = "true"
        part.create_topic(f"{choreo.stem}-orders", partitions=4)
    shop = choreo.start("run", PAYMENTS, "--json")
    shop.until_logged("service is running")
    orders = [f'{{"order_id": "o-{number % 2}", "total": -{number + 1}}}' for number in range(3)]
    choreo.run("publish", ORDER, "-", stdin="\n".join(orders))
    shop.until_logged("event went to the dead letters", 3)
    return Desk(choreo, shop)


def test_letters_are_looked_at_replayed_and_closed(desk: Desk) -> None:
    listed = desk.dlq("list").objects[0]
    fingerprint = listed["groups"][0]["fingerprint"]
    planned = desk.dlq("replay", "--fingerprint", fingerprint, "--dry-run")
    desk.mend()

    replayed = desk.dlq("replay", "--fingerprint", fingerprint, "--yes", "--rate", "100")
    charged = desk.until_charged(3)

    assert listed["total"] == listed["groups"][0]["count"] == 3
    assert sorted((row["handler"], row["key"], row["count"]) for row in planned.objects) == [
        ("charge", "o-0", 2),
        ("charge", "o-1", 1),
    ]
    assert replayed.code == ExitCode.OK
    assert [row["outcome"] for row in replayed.objects[:-1]] == ["replayed"] * 3
    assert {"replayed": 3, "kept": 0}.items() <= replayed.objects[-1].items()
    assert sorted(charged) == ["o-0", "o-0", "o-1"]
    assert desk.dlq("list").objects[0]["total"] == 0
    assert desk.dlq("list", "--all").objects[0]["states"] == {"replayed": 3}
    assert desk.dlq("replay", "--yes").code == ExitCode.NOT_FOUND
    (shown,) = desk.dlq("show", "--all", "--limit", "1").objects
    assert shown["decision"]["batch"] == replayed.objects[-1]["batch"]


def test_a_letter_that_was_replayed_needs_a_word_to_go_again(desk: Desk) -> None:
    (first, *_) = desk.dlq("show").objects
    letter = first["letter"]["id"]
    desk.mend()
    desk.dlq("replay", letter, "--yes")
    desk.until_charged(1)

    once_more = desk.dlq("replay", letter, "--yes")
    again = desk.dlq("replay", letter, "--yes", "--again")
    forced = desk.dlq("replay", letter, "--yes", "--force")
    charged = desk.until_charged(2)

    assert once_more.code == ExitCode.FAILED
    assert once_more.objects[0]["why"] == "it was replayed already: say --again"
    assert (again.code, forced.code) == (ExitCode.OK, ExitCode.OK)
    assert len(charged) == 2


def test_a_corrected_event_is_checked_and_handled_in_place_of_the_old_one(desk: Desk) -> None:
    (first, *_) = desk.dlq("show").objects
    letter, old = first["letter"]["id"], first["message"]["envelope"]
    edit = ("edit", letter, "--target", PAYMENTS, "--yes", "--data", "-")

    refused = desk.dlq(*edit, stdin='{"order_id": "o-0", "total": "much"}')
    edited = desk.dlq(*edit, stdin='{"order_id": "o-0", "total": 1}')
    desk.until_charged(1)
    topic = f"{desk.commands.stem}-payments"
    charged = desk.commands.run("tail", topic, "--no-follow", "--json").objects

    assert refused.code == ExitCode.INVALID_INPUT
    assert "total" in refused.error["message"]
    assert edited.code == ExitCode.OK
    assert edited.objects[0]["causation_id"] == old["id"]
    assert edited.objects[0]["event_id"] != old["id"]
    states = desk.dlq("list", "--all").objects[0]["states"]
    assert states == {"open": 2, "edited": 1}
    if charged:  # MQTT keeps no past
        (payment,) = charged
        assert payment["envelope"]["causationid"] == edited.objects[0]["event_id"]
        assert payment["envelope"]["correlationid"] == old["id"]


def test_an_editor_opens_the_payload(desk: Desk) -> None:
    (first, *_) = desk.dlq("show").objects
    editor = "sed -i s/-[0-9]/5/"

    code = desk.at_terminal("y", "edit", first["letter"]["id"], EDITOR=editor)
    unchanged = desk.at_terminal("y", "edit", first["letter"]["id"], "--again", EDITOR="true")

    assert code == ExitCode.OK
    assert unchanged == ExitCode.INVALID_INPUT
    assert len(desk.until_charged(1)) == 1


def test_an_event_whose_class_has_a_newer_version_by_now_is_corrected_as_that(desk: Desk) -> None:
    (first, second, _) = desk.dlq("show").objects
    edit = ("edit", first["letter"]["id"], "--target", LATER, "--yes", "--data", "-")

    refused = desk.dlq(*edit, stdin='{"order_id": "o-0", "total": 1}')
    edited = desk.dlq(*edit, stdin='{"order_id": "o-0", "milliseconds": 1}')
    as_it_became = {"EDITOR": "sed -i /milliseconds/s/[0-9]/7/"}
    code = desk.at_terminal("y", "edit", second["letter"]["id"], "--target", LATER, **as_it_became)

    assert refused.code == ExitCode.INVALID_INPUT
    assert "milliseconds" in refused.error["message"]
    assert (edited.code, code) == (ExitCode.OK, ExitCode.OK)


def test_what_is_json_for_python_alone_is_refused(desk: Desk) -> None:
    (first, *_) = desk.dlq("show").objects

    for constant in ("NaN", '{"total": -Infinity}'):
        refused = desk.dlq("edit", first["letter"]["id"], "--yes", "--data", "-", stdin=constant)
        assert refused.code == ExitCode.INVALID_INPUT


def test_nothing_happens_without_a_yes(desk: Desk) -> None:
    unasked = desk.dlq("replay")
    declined = desk.at_terminal("n", "replay")
    kept = desk.at_terminal("n", "drop", "--because", "no reason")
    total = desk.dlq("list").objects[0]["total"]
    dropped = desk.at_terminal("y", "drop", "--because", "sent by a test", "--key", "o-0")

    assert unasked.code == ExitCode.USAGE
    assert (declined, kept, total) == (ExitCode.DECLINED, ExitCode.DECLINED, 3)
    assert dropped == ExitCode.OK
    assert [row["message"]["data"]["order_id"] for row in desk.dlq("show").objects] == ["o-1"]


def test_letters_are_counted_and_chosen_by_what_is_asked(desk: Desk) -> None:
    (stats,) = desk.dlq("stats").objects

    def total(*filters: str) -> object:
        return desk.dlq("list", *filters).objects[0]["total"]

    assert stats["total"] == 3
    assert stats["reasons"] == {"rejected": 3}
    assert stats["handlers"] == {"charge": 3}
    assert stats["ages"] == {"under an hour": 3}
    assert total("--event", "OrderPlaced", "--key", "o-1", "--since", "1h") == 1
    assert total("--reason", "schema") == total("--until", "1h") == total("--handler", "x") == 0
    assert desk.dlq("list", "--since", "yesterday").code == ExitCode.USAGE
    assert desk.commands.run("dlq", "list").code == ExitCode.USAGE


async def test_letters_of_spring_are_listed_and_sent_where_somebody_says(
    choreo: Commands, real_kafka: KafkaPart, fresh_name: FreshName
) -> None:
    """T10: the topic that a header names is shown, and never written to."""
    name = fresh_name("spring")
    real_kafka.create_topic(f"{name}-dlt", partitions=1)
    real_kafka.create_topic(name, partitions=1)
    spring: list[Header] = [
        ("kafka_dlt-original-topic", b"somebody-elses"),
        ("kafka_dlt-original-partition", b"\x00\x00\x00\x03"),
        ("kafka_dlt-original-offset", b"\x00\x00\x00\x00\x00\x00\x00\x07"),
        ("kafka_dlt-exception-fqcn", b"java.lang.ArithmeticException"),
        ("kafka_dlt-exception-message", b"/ by zero"),
    ]
    choreo.settings = {"broker": real_kafka.url}
    async with open_broker(real_kafka.url) as broker:
        await broker.publish([Message(f"{name}-dlt", b"7", b"key", [("x", b"y"), *spring])])
    of_topic = ("--topic", f"{name}-dlt", "--json")

    listed = choreo.run("dlq", "list", *of_topic)
    nowhere = choreo.run("dlq", "replay", *of_topic, "--yes")
    sent = choreo.run("dlq", "replay", *of_topic, "--to", name, "--yes")
    after = choreo.run("dlq", "list", *of_topic, "--all")
    (record,) = choreo.run("tail", name, "--no-follow", "--json").objects

    assert listed.objects[0]["groups"][0]["error_type"] == "java.lang.ArithmeticException"
    assert listed.objects[0]["groups"][0]["topic"] == "somebody-elses"
    assert nowhere.code == ExitCode.FAILED
    assert sent.code == ExitCode.OK
    assert after.objects[0]["states"] == {"sent": 1}
    assert (record["data"], record["key"], record["headers"]) == (7, "key", [["x", "y"]])
