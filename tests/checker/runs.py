"""A run without a fault of three services, and small changes to it."""

from collections.abc import Sequence
from dataclasses import replace

from choreo.testing.checker import Bounds, Effect, Entry, Evidence, Letter, Logged, Subscriber

PAYMENT = Subscriber(
    service="payment",
    handler="charge",
    type="Placed",
    topic="orders",
    emits=("Paid",),
    attempts=3,
    quarantine=3,
    derive=lambda identity, _: f"{identity}/paid",
)
SHIPPING = Subscriber(service="shipping", handler="ship", type="Paid", topic="payments")


def entry(at: float, kind: str, **said: object) -> Entry:
    """Make an entry of the first life of payment's first process, unless said otherwise."""
    told = {"proc": "payment-1", "incarnation": 1, "service": "payment", **said}
    return Entry(at=at, kind=kind, **told)  # type: ignore[arg-type] # as tests say it


def clean() -> Evidence:
    """Tell of three orders of one key, the second refused by its handler, and all that followed."""
    entries: list[Entry] = []
    log: list[Logged] = []
    effects: list[Effect] = []
    letters: list[Letter] = []
    for seq in (1, 2, 3):
        at, order = 10.0 * seq, f"o{seq}"
        of = {"id": order, "key": "a", "seq": seq}
        sent = {**of, "proc": "generator", "service": "", "topic": "orders", "payload": f"p{seq}"}
        share = {**of, "handler": "charge", "tp": "orders-0", "offset": seq - 1}
        entries += [
            entry(at, "publish_invoke", **sent),
            entry(at + 0.1, "publish_ok", **sent),
            entry(at + 1, "deliver", **share),
            entry(at + 2, "handle_start", attempt=1, **share),
            entry(at + 3, "handle_end", result="err" if seq == 2 else "ok", **share),
            entry(at + 4, "ack", **share),
            entry(at + 5, "commit", tp="orders-0", offset=seq),
        ]
        log.append(placed(seq))
        if seq == 2:
            letter = Letter(service="payment", handler="charge", id=order, payload="p2", at=at + 3)
            letters.append(letter)
            entries.append(entry(at + 3, "dlq_ok", **share))
        else:
            effects.append(charged(seq))
            log.append(paid(seq, place=len(effects) // 2))
            effects.append(shipped(seq))
    entries += [entry(90, "heal", proc=""), entry(95, "finish", proc="")]
    return Evidence(
        subscribers=(PAYMENT, SHIPPING),
        entries=sorted(entries, key=lambda one: one.at),
        effects=[*(e for e in effects if e.handler == "charge"), *effects[1::2]],
        log=log,
        letters=letters,
        committed={("payment", "orders-0"): 3, ("shipping", "payments-0"): 2},
    )


def placed(seq: int) -> Logged:
    return Logged(
        topic="orders",
        tp="orders-0",
        offset=seq - 1,
        id=f"o{seq}",
        type="Placed",
        key="a",
        seq=seq,
        corr=f"o{seq}",
        payload=f"p{seq}",
        at=10.0 * seq,
    )


def paid(seq: int, place: int) -> Logged:
    return Logged(
        topic="payments",
        tp="payments-0",
        offset=place,
        id=f"o{seq}/paid",
        type="Paid",
        key="a",
        corr=f"o{seq}",
        cause=f"o{seq}",
        payload=f"q{seq}",
        at=10.0 * seq + 4,
    )


def charged(seq: int) -> Effect:
    return Effect(
        service="payment",
        handler="charge",
        id=f"o{seq}",
        key="a",
        seq=seq,
        at=10.0 * seq + 2.5,
        payload=f"p{seq}",
        proc="payment-1",
        incarnation=1,
    )


def shipped(seq: int) -> Effect:
    return Effect(
        service="shipping",
        handler="ship",
        id=f"o{seq}/paid",
        key="a",
        at=10.0 * seq + 6,
        payload=f"q{seq}",
    )


def changed(
    *,
    entries: Sequence[Entry] = (),
    without: Sequence[str] = (),
    effects: Sequence[Effect] | None = None,
    log: Sequence[Logged] | None = None,
    letters: Sequence[Letter] | None = None,
    bounds: Bounds | None = None,
) -> Evidence:
    """Take the clean run with more *entries*, *without* some kinds, or with other truth."""
    run = clean()
    kept = [one for one in run.entries if one.kind not in without]
    return replace(
        run,
        entries=sorted([*kept, *entries], key=lambda one: one.at),
        effects=run.effects if effects is None else effects,
        log=run.log if log is None else log,
        letters=run.letters if letters is None else letters,
        bounds=bounds or run.bounds,
    )
