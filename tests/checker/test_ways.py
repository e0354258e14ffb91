"""Every further way in which a property may be broken, told in words; what is seen; and no more."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from choreo.testing.checker import Bounds, Effect, Entry, Evidence, Letter, Sight, check
from tests.checker.runs import changed, charged, clean, entry, paid, placed, shipped

RUN = clean()
EFFECTS, LOG, LETTERS = list(RUN.effects), list(RUN.log), list(RUN.letters)
CHARGE = {"id": "o3", "key": "a", "seq": 3, "handler": "charge"}


def steps(*results: str) -> Sequence[Entry]:
    """Tell what one saga did: *done a*, *undone a*, *ended*."""
    told: list[Entry] = []
    for place, step in enumerate(results):
        result, _, text = step.partition(" ")
        told.append(entry(70 + place, "saga_step", id="s", result=result, text=text))
    return told


def timer(*kinds: str) -> Sequence[Entry]:
    """Tell what became of one timer that is due at once."""
    return [
        entry(70 + place, kind, id="t", value=70.0 if kind == "timer_set" else 0.0)
        for place, kind in enumerate(kinds)
    ]


def emitting(effects: Sequence[Effect]) -> Sequence[Effect]:
    """Let effects tell what they have led to."""
    return [replace(one, emitted=(f"{one.id}/paid",)) for one in effects]


def without_a_log(effects: Sequence[Effect]) -> Evidence:
    """Take the clean run as it looks where nobody could read the broker's log."""
    run = changed(effects=effects)
    return replace(run, log=[], letters=[], committed={}, log_known=False, final=False)


WAYS: dict[str, tuple[str, Evidence]] = {
    "an effect of what nobody published, without a log": (
        "phantom: id=ghost handler=payment.charge has an effect, and nobody published it",
        without_a_log([charged(1), replace(charged(3), id="ghost", seq=2)]),
    ),
    "a payload torn on its way to the effect": (
        "payload: id=o1 has another payload in an effect of charge: torn, not p1",
        changed(effects=[replace(EFFECTS[0], payload="torn"), *EFFECTS[1:]]),
    ),
    "a number passed over that nobody gave up": (
        "order: id=o3 handler=charge key=a passes over number 2, which was not given up",
        changed(letters=[]),
    ),
    "another cause than that of its effect": (
        "causality: id=o3/paid was caused by o3, and says 'o1'",
        changed(
            log=[replace(one, cause="o1") if one.id == "o3/paid" else one for one in LOG],
            effects=[*emitting(EFFECTS[:2]), *EFFECTS[2:]],
        ),
    ),
    "a cause that is in no log": (
        "causality: id=o3/paid names a cause that is in no log: o7",
        changed(log=[one if one.id != "o3/paid" else replace(one, cause="o7") for one in LOG]),
    ),
    "a child too many": (
        "causality: id=o1 handler=payment.charge has led to 2 Paid, not 1",
        changed(
            log=[*LOG, replace(paid(1, 2), id="o1/more")],
            effects=[*EFFECTS, replace(shipped(1), id="o1/more", at=80.0)],
        ),
    ),
    "dead, and skipped": (
        "conservation: id=o2 handler=payment.charge is dead, and was skipped",
        changed(entries=[entry(50, "skip", id="o2", key="a", seq=2, handler="charge")]),
    ),
    "dead, and in no log": (
        "conservation: id=o9 handler=payment.charge is dead, and is in no log",
        changed(letters=[*LETTERS, Letter(service="payment", handler="charge", id="o9")]),
    ),
    "skipped, and has an effect": (
        "conservation: id=o3 handler=payment.charge was skipped, and has an effect",
        changed(entries=[entry(50, "skip", **CHARGE)]),
    ),
    "replayed, and has no effect": (
        "conservation: id=o2 handler=payment.charge was replayed, and has no effect",
        changed(entries=[entry(50, "replay", id="o2", handler="charge")]),
    ),
    "a saga without an end": ("saga: id=s of payment has no end", changed(entries=steps("done a"))),
    "a saga that went on after its end": (
        "saga: id=s of payment did b after it had ended",
        changed(entries=steps("done a", "ended", "done b")),
    ),
    "a saga of which one step was not undone": (
        "saga: id=s of payment undid b of a, b",
        changed(entries=steps("done a", "done b", "undone b", "ended")),
    ),
    "a timer that nobody set": (
        "saga: timer id=t fired, and nobody set it",
        changed(entries=timer("timer_fire")),
    ),
    "a timer that fired twice": (
        "saga: timer id=t fired twice",
        changed(entries=timer("timer_set", "timer_fire", "timer_fire")),
    ),
    "a timer that fired although it was cancelled": (
        "saga: timer id=t fired although it was cancelled",
        changed(entries=timer("timer_set", "timer_cancel", "timer_fire")),
    ),
    "a timer that never fired": (
        "saga: timer id=t never fired",
        changed(entries=timer("timer_set")),
    ),
    "a process that died by itself after the healing": (
        "liveness: payment-1@1 ended by itself, with 1",
        changed(entries=[entry(93, "proc_stop", result="1")]),
    ),
    "a queue that is longer than its cap": (
        "boundedness: payment-1@1: queue rose to 65, above 64",
        changed(entries=[entry(50, "sample", text="queue", value=65.0)], bounds=Bounds(queue=64)),
    ),
    "more uncommitted than its cap": (
        "boundedness: payment-1@1: span rose to 9, above 8",
        changed(entries=[entry(50, "sample", text="span", value=9.0)], bounds=Bounds(span=8)),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_breaking_a_property_is_told_in_words(way: str) -> None:
    told, run = WAYS[way]
    name, _, text = told.partition(": ")

    found = check(run).found

    assert [one.text.partition(": ")[0] for one in found.get(name, ()) if one.text == text] != [], (
        found
    )


RIGHT: dict[str, Evidence] = {
    "a saga that completed": changed(entries=steps("done a", "done b", "ended")),
    "a saga that was undone": changed(
        entries=steps("done a", "done b", "undone b", "undone a", "ended timed out")
    ),
    "a timer that fired when it was due": changed(entries=timer("timer_set", "timer_fire")),
    "a timer that was cancelled": changed(entries=timer("timer_set", "timer_cancel")),
    "an event that was skipped": changed(
        entries=[entry(24, "skip", id="o2", key="a", seq=2, handler="charge")], letters=[]
    ),
    "memory, queue and span at their caps": changed(
        entries=[entry(50, "sample", text=name, value=8.0) for name in ("rss", "queue", "span")],
        bounds=Bounds(rss=8, queue=8, span=8),
    ),
    "a process that was stopped in order": changed(entries=[entry(93, "proc_stop", result="0")]),
    "a second attempt in its time": changed(
        entries=[
            entry(31.2, "handle_start", attempt=1, **CHARGE),
            entry(31.3, "handle_end", attempt=1, result="err", value=0.5, **CHARGE),
            entry(31.9, "handle_start", attempt=2, **CHARGE),
            entry(32.1, "handle_end", attempt=2, result="ok", **CHARGE),
        ],
        without=["handle_start", "handle_end"],
    ),
}


@pytest.mark.parametrize("title", RIGHT)
def test_what_is_right_raises_no_alarm(title: str) -> None:
    assert check(RIGHT[title]).lines == ["PASS"]


DELIVERED = {"id": "o1", "tp": "orders-0", "offset": 0}
UNKNOWN = [entry(1, "publish_invoke", id="u1"), entry(2, "publish_unknown", id="u1")]
SEEN: dict[Sight, Evidence] = {
    "redelivery": changed(entries=[entry(50, "deliver", **DELIVERED)]),
    "dedupe hit": changed(entries=[entry(50, "dedupe_hit", **DELIVERED)]),
    "rebalance": changed(entries=[entry(50, "revoke", tp="orders-0")]),
    "kill between effect and ack": changed(entries=[entry(33, "proc_kill")], without=["ack"]),
    "stale-epoch ack": changed(entries=[entry(50, "stale_ack", **DELIVERED)]),
    "dead letter": clean(),
    "gap filled": changed(entries=[entry(50, "buffer_out", **CHARGE)]),
    "gap skipped": changed(entries=[entry(50, "skip", text="gap", **CHARGE)]),
    "unknown publish that existed": changed(
        entries=UNKNOWN, log=[*LOG, replace(placed(3), id="u1", offset=3)]
    ),
    "unknown publish that did not": changed(entries=UNKNOWN),
    "saga completed": changed(entries=steps("done a", "ended")),
    "saga compensated": changed(entries=steps("done a", "undone a", "ended")),
}


@pytest.mark.parametrize("sight", SEEN)
def test_what_makes_a_run_worth_looking_at_is_seen_where_it_is_and_missed_where_not(
    sight: Sight,
) -> None:
    demanded = Bounds(sights=frozenset({sight}))
    bare = replace(clean(), letters=[], bounds=demanded)

    with_it, without_it = check(replace(SEEN[sight], bounds=demanded)), check(bare)

    assert (with_it.missing, without_it.missing) == ([], [f"never seen: {sight}"])


def test_every_sight_has_its_history() -> None:
    assert set(SEEN) == set(check(clean()).seen)
