"""Who may be deployed beside whom, and in which order, as locks tell."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from choreo.contracts.clash import Odds, use_of
from choreo.contracts.clash_remedy import clash_remedy, stub
from choreo.contracts.deployment import Deployment, can_deploy
from choreo.contracts.field_use import Use
from choreo.contracts.lock import (
    Consumption,
    Emission,
    Lock,
    Reading,
    ServiceLock,
    lock_text,
    parse_lock,
    read_lock,
)
from choreo.contracts.mode import Mode
from choreo.contracts.resolution import Kind
from choreo.errors import ConfigurationError

ID: JsonValue = {"name": "id", "type": "string"}
TOTAL: JsonValue = {"name": "total", "type": "long"}
NOTE: JsonValue = {"name": "note", "type": "string", "default": ""}
BOTH = (ID, TOTAL)
READS = {"total": ["billing.py:7"]}


def schema(*fields: JsonValue, name: str = "Placed") -> JsonValue:
    return {"type": "record", "name": name, "fields": list(fields)}


def writes(
    *fields: JsonValue,
    version: int = 1,
    earlier: dict[int, JsonValue] | None = None,
    **more: Any,  # noqa: ANN401 -- fields of Emission
) -> ServiceLock:
    given: dict[str, Any] = {"key": "id", "avro": schema(*(fields or BOTH)), **more}
    mode = given.pop("mode", Mode.FULL_TRANSITIVE)
    emission = Emission(
        event="Placed", version=version, topic="orders", earlier=earlier or {}, **given
    )
    return ServiceLock(mode=mode, emits=[emission])


def takes(
    *fields: JsonValue,
    version: int = 1,
    reads: Mapping[str, Sequence[str]] | None = READS,
    **more: Any,  # noqa: ANN401 -- fields of Consumption
) -> ServiceLock:
    reading = Reading(
        where="billing.py:5",
        observed=reads is not None,
        reads={place: list(lines) for place, lines in (reads or {}).items()},
    )
    given: dict[str, Any] = {"key": "id", "avro": schema(*(fields or BOTH)), **more}
    return ServiceLock(
        consumes=[
            Consumption(
                event="Placed",
                version=version,
                topic="orders",
                handlers={"charge": reading},
                **given,
            )
        ]
    )


def deploying(new: Mapping[str, ServiceLock], **running: ServiceLock) -> Deployment:
    return can_deploy(new, running)


NEWER: dict[str, Any] = {"newer": "read", "contracts": [2]}


def test_what_fits_may_be_deployed() -> None:
    found = deploying({"orders": writes()}, billing=takes())

    assert found.safe
    assert found.order == ("orders",)


def test_a_field_with_a_default_may_be_added_in_any_order_where_newer_versions_are_read() -> None:
    old, reader = writes(), takes(**NEWER)
    new, newer = writes(ID, TOTAL, NOTE, version=2), takes(ID, TOTAL, NOTE, version=2, upcasts=[1])

    found = deploying({"orders": new, "billing": newer}, orders=old, billing=reader)

    assert found.safe
    assert found.constraints == ()


def test_a_version_that_nobody_there_takes_waits_for_the_reader() -> None:
    old, new, reader = writes(), writes(version=2), takes()
    newer = takes(version=2, upcasts=[1])

    alone = deploying({"orders": new}, orders=old, billing=reader)
    both = deploying({"orders": new, "billing": newer}, orders=old, billing=reader)

    assert [(one.kind, one.read, one.written) for one in alone.refused] == [
        (Odds.VERSION, "v1", "v2")
    ]
    assert "give billing a handler of v2, and deploy it first" in clash_remedy(alone.refused[0])
    assert both.safe
    assert both.order == ("billing", "orders")


def test_a_newer_version_is_read_only_with_a_copy_of_its_contract() -> None:
    found = deploying({"orders": writes(version=2)}, billing=takes(newer="read"))

    assert [one.kind for one in found.refused] == [Odds.COPY]
    assert "a copy of Placed/2.avsc" in clash_remedy(found.refused[0])


def test_a_registry_takes_the_place_of_a_copy_where_payloads_are_avro() -> None:
    reader = takes(newer="read").model_copy(update={"registry": True})
    avro = writes(version=2).model_copy(update={"codec": "avro"})

    assert deploying({"orders": avro}, billing=reader).safe
    assert not deploying({"orders": writes(version=2)}, billing=reader).safe
    assert not deploying({"orders": avro}, billing=takes(newer="read")).safe


def test_a_removed_field_is_refused_with_who_reads_it() -> None:
    found = deploying({"orders": writes(ID, version=2)}, orders=writes(), billing=takes(**NEWER))

    (clash,) = found.refused
    (reader,) = clash.handlers
    assert (clash.at, clash.kind, clash.read, clash.written) == (
        "total",
        Kind.DEFAULT,
        "long without default",
        None,
    )
    assert (reader.handler, reader.found.use) == ("charge", Use.READS)
    assert reader.found.where == "billing.py:7"
    assert "keep total" in clash_remedy(clash)


def test_a_removed_field_that_nobody_reads_can_be_left_out_by_the_reader_first() -> None:
    found = deploying(
        {"orders": writes(ID, version=2)}, billing=takes(**NEWER, reads={"id": ["b.py:1"]})
    )

    (clash,) = found.refused
    assert clash.handlers[0].found.use is Use.TAKES
    assert clash_remedy(clash).startswith("nobody in billing reads total: give it a default")


def test_a_handler_that_no_test_ran_may_read_everything() -> None:
    found = deploying({"orders": writes(ID, version=2)}, billing=takes(**NEWER, reads=None))

    assert found.refused[0].handlers[0].found.use is Use.UNSEEN
    assert "keep total" in clash_remedy(found.refused[0])


@pytest.mark.parametrize(
    ("at", "read", "use"),
    [
        ("total", "total", Use.READS),
        ("main", "main.price", Use.READS),
        ("main.price", "main", Use.TAKES),
        ("main.price", "main.*", Use.PASSES_ON),
        ("main", "main.*", Use.READS),
        ("parts[].price", "*", Use.PASSES_ON),
        ("parts[].price", "parts[].*", Use.PASSES_ON),
        ("parts[].price", "parts", Use.TAKES),
        ("parts", "parts[].price", Use.READS),
        ("tags[]", "tags", Use.READS),
        ("by_name{}", "by_name", Use.READS),
        ("total", "totals", Use.TAKES),
        ("main.price", "main.price_list", Use.TAKES),
    ],
)
def test_a_reading_counts_for_the_place_above_and_the_whole_for_all_below(
    at: str, read: str, use: Use
) -> None:
    reading = Reading(where="b.py:1", observed=True, reads={read: ["b.py:2"]})

    assert use_of(reading, at).use is use


def test_a_reader_that_cannot_read_what_is_written_now_waits_for_the_writer() -> None:
    running = {"orders": writes(), "billing": takes()}
    reader = takes(ID, TOTAL, {"name": "vat", "type": "long"}, version=2, upcasts=[])
    writer = writes(ID, TOTAL, {"name": "vat", "type": "long"}, version=2)

    alone = deploying({"billing": reader}, **running)
    both = deploying({"billing": reader, "orders": writer}, **running)

    assert [(one.kind, one.at) for one in alone.refused] == [
        (Odds.VERSION, "the whole"),
        (Kind.DEFAULT, "vat"),
    ]
    assert stub(alone.refused[1]) is not None
    assert both.order is None, "each would have to go first"
    assert not both.safe


def test_an_upcaster_lets_the_reader_go_first() -> None:
    running = {"orders": writes(), "billing": takes()}
    vat: JsonValue = {"name": "vat", "type": "long"}

    found = deploying(
        {
            "billing": takes(ID, TOTAL, vat, version=2, upcasts=[1]),
            "orders": writes(ID, TOTAL, vat, version=2, earlier={1: schema(*BOTH)}),
        },
        **running,
    )

    assert found.order == ("billing", "orders")
    assert found.retained == ()


def test_what_is_at_odds_already_does_not_forbid_a_deployment() -> None:
    running = {"orders": writes(ID), "billing": takes()}

    found = deploying({"orders": writes(ID)}, **running)

    assert found.safe
    assert [one.at for one in found.known] == ["total"]


def test_events_written_before_that_could_not_be_read_again_are_told() -> None:
    writer = writes(version=2, earlier={1: schema(ID)})

    found = deploying({"orders": writer}, billing=takes(version=2))
    plain = deploying(
        {"orders": writer.model_copy(update={"mode": Mode.FULL})}, billing=takes(version=2)
    )

    assert found.safe
    assert {(one.kind, one.version) for one in found.retained} == {
        (Odds.VERSION, 1),
        (Kind.DEFAULT, 1),
    }
    assert plain.retained == ()


def test_another_key_or_sequence_than_the_reader_relies_on_is_refused() -> None:
    found = deploying(
        {"orders": writes(key="customer")}, orders=writes(), billing=takes(sequence="number")
    )

    assert [(one.kind, one.read, one.written) for one in found.refused] == [
        (Odds.KEY, "id", "customer")
    ]
    assert [one.kind for one in found.known] == [Odds.SEQUENCE]
    assert "events of one id come in any order" in clash_remedy(found.refused[0])


def test_a_reader_that_declares_no_key_relies_on_none() -> None:
    assert deploying({"orders": writes(key="customer")}, billing=takes(key=None)).safe


def test_an_event_that_nobody_writes_any_more_is_refused_unless_another_takes_it_over() -> None:
    running = {"orders": writes(), "billing": takes()}

    gone = deploying({"orders": ServiceLock()}, **running)
    moved = deploying({"orders": ServiceLock(), "shop": writes()}, **running)

    assert [(one.kind, one.reader) for one in gone.refused] == [(Odds.GONE, "billing")]
    assert moved.safe


def test_events_that_avro_cannot_say_are_judged_by_their_versions() -> None:
    same = deploying({"orders": writes(avro=None)}, billing=takes(avro=None))
    newer = deploying({"orders": writes(avro=None, version=2)}, billing=takes(**NEWER, avro=None))

    assert same.safe
    assert [one.kind for one in newer.refused] == [Odds.VERSION]


def test_a_lock_is_read_as_it_was_written_in_one_order() -> None:
    lock = Lock(services={"b": takes(), "a": writes(earlier={10: "string", 9: "string"})})

    text = lock_text(lock)

    assert parse_lock(text, "lock") == lock
    assert lock_text(parse_lock(text, "lock")) == text
    assert list(json.loads(text)["services"]) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2}', '{"format": 1, "services": {"a": {"unknown": 1}}}']
)
def test_what_is_no_lock_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "choreo.lock"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"choreo\.lock"):
        read_lock(path)
