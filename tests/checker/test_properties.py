"""Each property is broken by hand and found; a run without a fault raises no alarm."""

from dataclasses import replace

import pytest

from choreo.testing.checker import PROPERTIES, Bounds, Code, Effect, Evidence, Letter, check
from tests.checker.runs import (
    PAYMENT,
    SHIPPING,
    changed,
    charged,
    clean,
    entry,
    paid,
    placed,
    shipped,
)

RUN = clean()
START = {"id": "o3", "key": "a", "seq": 3, "handler": "charge"}


def test_a_run_without_a_fault_raises_no_alarm() -> None:
    verdict = check(clean(), context="seed 1")

    assert verdict.lines == ["PASS (seed 1)"]
    assert verdict.code is Code.CLEAN


EFFECTS, LOG, LETTERS = list(RUN.effects), list(RUN.log), list(RUN.letters)

ANOMALIES: list[tuple[str, str, Evidence]] = [
    ("an effect is missing", "loss", changed(effects=EFFECTS[:1] + EFFECTS[2:])),
    ("a letter is missing", "loss", changed(letters=[])),
    (
        "what was accepted is in no log",
        "loss",
        changed(entries=[entry(50, "publish_invoke", id="o9"), entry(51, "publish_ok", id="o9")]),
    ),
    ("an effect twice", "duplicate-effect", changed(effects=[*EFFECTS, shipped(1)])),
    (
        "an effect of nothing",
        "phantom",
        changed(effects=[*EFFECTS, replace(shipped(1), id="ghost", key="g")]),
    ),
    (
        "a record of a run that was rolled back",
        "phantom",
        changed(log=[*LOG, replace(paid(2, 2), id="o2/paid")]),
    ),
    (
        "an effect of what was refused",
        "phantom",
        changed(
            entries=[
                entry(50, "publish_invoke", id="o9"),
                entry(51, "publish_refused", id="o9"),
            ],
            effects=[*EFFECTS, replace(charged(3), id="o9", key="b", seq=1)],
        ),
    ),
    (
        "one id, two payloads",
        "payload",
        changed(log=[*LOG, replace(placed(1), offset=3, payload="other")]),
    ),
    ("EFFECTS swapped", "order", changed(effects=[EFFECTS[1], EFFECTS[0], *EFFECTS[2:]])),
    (
        "a number passed over, and given up later",
        "order",
        changed(letters=[replace(LETTERS[0], at=80.0)]),
    ),
    (
        "two processes at one key",
        "exclusion",
        changed(
            entries=[
                entry(32.2, "handle_start", attempt=1, proc="payment-2", **START),
                entry(32.7, "handle_end", result="ok", proc="payment-2", **START),
            ]
        ),
    ),
    (
        "a conversation that was left",
        "causality",
        changed(log=[one if one.id != "o1/paid" else replace(one, corr="x") for one in LOG]),
    ),
    (
        "a cause without an effect",
        "causality",
        changed(log=[one if one.id != "o3/paid" else replace(one, cause="o2") for one in LOG]),
    ),
    (
        "a child that is missing",
        "causality",
        changed(log=[one for one in LOG if one.id != "o3/paid"], effects=EFFECTS[:3]),
    ),
    (
        "a child that is not the derived one",
        "causality",
        changed(
            log=[one if one.id != "o3/paid" else replace(one, id="random") for one in LOG],
            effects=[*EFFECTS[:3], replace(shipped(3), id="random")],
        ),
    ),
    (
        "an emitted event that is in no log",
        "causality",
        changed(effects=[replace(EFFECTS[0], emitted=("o1/gone",)), *EFFECTS[1:]]),
    ),
    (
        "other events when it was handled again",
        "causality",
        replace(
            changed(effects=[*EFFECTS, replace(shipped(1), emitted=("o1/paid",))]),
            subscribers=(PAYMENT, replace(SHIPPING, durable=False)),
        ),
    ),
    (
        "an event that is its own cause",
        "causality",
        changed(log=[replace(placed(1), cause="o1/paid", corr="o1"), *LOG[1:]]),
    ),
    (
        "dead, and has an effect",
        "conservation",
        changed(letters=[*LETTERS, Letter(service="payment", handler="charge", id="o3")]),
    ),
    (
        "a letter that is not its event",
        "conservation",
        changed(letters=[replace(LETTERS[0], payload="torn")]),
    ),
    (
        "a commit before the effect",
        "commit",
        changed(entries=[entry(31, "commit", tp="orders-0", offset=3)], without=["commit"]),
    ),
    (
        "a commit that goes back",
        "commit",
        changed(entries=[entry(40, "commit", tp="orders-0", offset=1)]),
    ),
    (
        "a place that is not the end",
        "commit",
        replace(clean(), committed={("payment", "orders-0"): 2, ("shipping", "payments-0"): 2}),
    ),
    (
        "a log in another order than it was sent",
        "log-order",
        changed(
            log=[
                replace(placed(1), offset=1),
                replace(placed(2), offset=0),
                *LOG[1:2],
                *LOG[3:],
            ]
        ),
    ),
    (
        "an outbox that was emptied from behind",
        "log-order",
        changed(log=[one if not one.cause else replace(one, offset=1 - one.offset) for one in LOG]),
    ),
    (
        "an attempt too many",
        "attempts",
        changed(
            entries=[
                entry(60, "handle_start", attempt=4, **START),
                entry(61, "handle_end", attempt=4, **START),
            ]
        ),
    ),
    (
        "an attempt before its time",
        "attempts",
        changed(
            entries=[
                entry(32.5, "handle_end", result="err", value=9.0, **START),
                entry(33.1, "handle_start", attempt=2, **START),
                entry(33.2, "handle_end", attempt=2, **START),
            ]
        ),
    ),
    (
        "begun again after it killed three processes",
        "attempts",
        changed(
            entries=[
                one
                for life in (2, 3, 4, 5)
                for one in (
                    entry(50 + life, "handle_start", attempt=1, incarnation=life, **START),
                    entry(50.5 + life, "proc_kill", incarnation=life),
                )
            ]
        ),
    ),
    (
        "a saga with two ends",
        "saga",
        changed(entries=[entry(70 + n, "saga_step", id="s", result="ended") for n in (0, 1)]),
    ),
    (
        "steps undone in the wrong order",
        "saga",
        changed(
            entries=[
                entry(70 + n, "saga_step", id="s", result=result, text=text)
                for n, (result, text) in enumerate(
                    [
                        ("done", "a"),
                        ("done", "b"),
                        ("undone", "a"),
                        ("undone", "b"),
                        ("ended", ""),
                    ]
                )
            ]
        ),
    ),
    (
        "a timer before it is due",
        "saga",
        changed(
            entries=[
                entry(70, "timer_set", id="t", value=80.0),
                entry(71, "timer_fire", id="t"),
            ]
        ),
    ),
    (
        "an end long after the healing",
        "liveness",
        changed(
            entries=[entry(1.0, "heal", proc="")],
            without=["heal"],
            bounds=Bounds(recovery=10),
        ),
    ),
    ("a run that never came to rest", "liveness", changed(without=["finish"])),
    (
        "more memory than allowed",
        "boundedness",
        changed(entries=[entry(50, "sample", text="rss", value=300.0)], bounds=Bounds(rss=256.0)),
    ),
]
"""Each anomaly, the class that it belongs to, and a run that has it and little else."""


@pytest.mark.parametrize(
    ("named", "run"),
    [(named, run) for _, named, run in ANOMALIES],
    ids=[title for title, _, _ in ANOMALIES],
)
def test_an_anomaly_is_found_and_called_by_its_name(named: str, run: Evidence) -> None:
    verdict = check(run)

    assert named in verdict.found
    assert verdict.code not in {Code.CLEAN, Code.INCONCLUSIVE}


def test_every_class_of_error_has_an_anomaly() -> None:
    assert {named for _, named, _ in ANOMALIES} == set(PROPERTIES)


def test_a_run_that_has_not_seen_what_it_is_to_show_is_inconclusive() -> None:
    run = changed(bounds=Bounds(sights=frozenset({"redelivery", "dead letter"})))

    verdict = check(run, context="seed 3")

    assert verdict.lines == ["INCONCLUSIVE never seen: redelivery (seed 3)"]
    assert verdict.code is Code.INCONCLUSIVE


@pytest.mark.parametrize(("result", "missing"), [("bit", []), ("", ["never bit: cut"])])
def test_a_fault_that_did_not_bite_shows_nothing(result: str, missing: list[str]) -> None:
    ends = [entry(50, "fault_start", text="cut"), entry(51, "fault_end", text="cut", result=result)]

    verdict = check(changed(entries=ends, bounds=Bounds(faults=frozenset({"cut"}))))

    assert verdict.missing == missing


def allowed() -> list[tuple[str, Evidence]]:
    """Name what looks wrong and is not."""
    effects, log = list(RUN.effects), list(RUN.log)
    twice = [
        entry(50, "deliver", id="o1", tp="orders-0", offset=0),
        entry(51, "dedupe_hit", id="o1"),
    ]
    unknown = [entry(1, "publish_invoke", id="u1"), entry(2, "publish_unknown", id="u1")]
    return [
        ("a duplicate in the log", changed(log=[*log, replace(placed(1), offset=3)])),
        ("a second delivery that was suppressed", changed(entries=twice)),
        ("an unknown publication that never was", changed(entries=unknown)),
        (
            "one whose effect is replayed from the dead letters",
            changed(
                entries=[entry(50, "replay", id="o2", handler="charge")],
                effects=[*effects, replace(charged(2), generation=1, at=51.0)],
                log=[*log, replace(paid(2, 2), at=52.0)],
            ),
        ),
        (
            "two processes at one key while one is cut off",
            changed(
                entries=[
                    entry(32.1, "fault_start", text="stop", proc="payment-2"),
                    entry(32.2, "handle_start", attempt=1, proc="payment-2", **START),
                    entry(32.7, "handle_end", result="ok", proc="payment-2", **START),
                    entry(32.8, "fault_end", text="stop", proc="payment-2"),
                    entry(60.0, "fault_start", text="stop", proc="payment-2"),
                    entry(61.0, "fault_end", text="stop", proc="payment-2"),
                ]
            ),
        ),
    ]


ALLOWED = allowed()


@pytest.mark.parametrize("title", [title for title, _ in ALLOWED])
def test_what_only_looks_wrong_raises_no_alarm_of_safety_or_order(title: str) -> None:
    found = check(dict(ALLOWED)[title]).found

    assert set(found) - {"commit", "loss"} == set()


def test_in_flight_is_no_loss_before_the_end() -> None:
    run = replace(changed(effects=list(RUN.effects)[:1]), final=False)

    assert "loss" not in check(run).found


def test_effects_of_a_handler_without_a_store_may_repeat() -> None:
    run = changed(effects=[*RUN.effects, shipped(1)])
    subscribers = [replace(one, durable=False) for one in run.subscribers]

    assert "duplicate-effect" not in check(replace(run, subscribers=subscribers)).found


def test_order_without_numbers_is_that_of_the_log() -> None:
    swapped: list[Effect] = [*RUN.effects[:2], *RUN.effects[:1:-1]]

    assert [one.id for one in check(changed(effects=swapped)).found["order"]] == ["o1/paid"]
