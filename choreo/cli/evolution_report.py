"""How changes of contracts are told: lines for people, one object each for programs."""

from collections.abc import Sequence

from pydantic import JsonValue

from choreo.cli.evolution import Change, Reader, Rewritten
from choreo.cli.screen import print_json, print_line
from choreo.contracts.compatibility import Finding, Order
from choreo.contracts.difference import Absent, Difference, differences
from choreo.contracts.mode import Direction
from choreo.contracts.remedy import remedy, upcaster_stub

_ORDERS = {
    Order.ANY: "deploy in any order",
    Order.CONSUMERS: "deploy those who read it first",
    Order.PRODUCERS: "deploy those who write it first",
    Order.NONE: "no order of deployment works",
}


def show_change(change: Change, *, json: bool) -> None:
    """Tell what comes of one version."""
    if json:
        print_json(_change(change))
        return
    print_line(f"{_state(change):<10} {change.new.origin}  {_ORDERS[change.order]}")
    if change.acceptance is not None and change.verdict.breaks:
        print_line(f"    accepted: {change.acceptance.because}")
    for one in change.verdict.findings:
        print_line(f"    {_finding(one)}")
        for reader in change.readers[one]:
            print_line(f"        {reader.service}.{reader.handler} {_use(reader)}")
        if change.converts(one):
            print_line(f"        converted by {_class(change)}.upcast")
        elif one in change.open:
            print_line(f"        fix: {remedy(one)}")
    stub = _stub(change)
    for line in stub.splitlines() if stub else ():
        print_line(f"    {line}")


def show_rewritten(one: Rewritten, *, json: bool) -> None:
    """Tell that a contract in use was touched."""
    state = "removed" if one.now is None else "changed"
    if json:
        print_json(
            {
                "path": one.was.origin,
                "state": state,
                "differences": [_difference(detail) for detail in one.details],
            }
        )
        return
    print_line(f"{state:<10} {one.was.origin}")
    for detail in one.details:
        print_line(f"    {_told(detail, 'there', 'here')}")


def show_difference(change: Change, *, json: bool) -> None:
    """Tell how a version differs from the one before it, and who can read whom."""
    details = differences(change.last.schema, change.new.schema)
    if json:
        listed: list[JsonValue] = [_difference(detail) for detail in details]
        print_json({**_change(change), "differences": listed})
        return
    old, new = f"v{change.last.number}", f"v{change.new.number}"
    order = _ORDERS[change.order]
    print_line(f"{change.folder}  {old} → {new}  {order}")
    for detail in details:
        print_line(f"    {_told(detail, old, new)}")
    for one in change.verdict.findings:
        print_line(f"    {_finding(one)}")


def _state(change: Change) -> str:
    if change.open:
        return "refused"
    kept = [one for one in change.verdict.breaks if not change.converts(one)]
    return "accepted" if kept else "compatible"


def _finding(one: Finding) -> str:
    new, old = "the new", f"v{one.earlier}"
    reads = f"{new} cannot read {old}" if _is_backward(one) else f"{old} cannot read {new}"
    return f"{one.at}: {reads} ({one.kind}): was {one.was or 'nothing'}, now {one.now or 'nothing'}"


def _use(reader: Reader) -> str:
    return f"{reader.found.use}: {reader.found.where}"


def _stub(change: Change) -> str | None:
    """Write the beginning of an upcaster where the new version cannot read the last one."""
    broken = [one for one in change.open if _is_backward(one) and one.earlier == change.last.number]
    names = tuple(dict.fromkeys(one.path[0] for one in broken if one.path))
    return upcaster_stub(_class(change), change.last.number, names) if names else None


def _class(change: Change) -> str:
    """Tell what the class of the event is called, unless it is called otherwise."""
    return change.folder.name.rpartition(".")[2]


def _is_backward(one: Finding) -> bool:
    return one.direction is Direction.BACKWARD


def _change(change: Change) -> dict[str, JsonValue]:
    return {
        "event": change.folder.name,
        "topic": change.folder.parent.name,
        "version": change.new.number,
        "path": change.new.origin,
        "mode": change.verdict.mode.value,
        "state": _state(change),
        "order": change.order.value,
        "accepted": change.acceptance.because if change.acceptance else None,
        "findings": [_as_json(change, one) for one in change.verdict.findings],
        "upcaster": _stub(change),
    }


def _as_json(change: Change, one: Finding) -> JsonValue:
    readers: Sequence[Reader] = change.readers[one]
    return {
        "at": one.at,
        "with": one.earlier,
        "direction": one.direction.value,
        "kind": one.kind.value,
        "was": one.was,
        "now": one.now,
        "breaks": one in change.open,
        "upcast": change.converts(one),
        "readers": [
            {
                "service": reader.service,
                "handler": reader.handler,
                "use": reader.found.use.name.lower(),
                "where": reader.found.where,
            }
            for reader in readers
        ],
        "fix": remedy(one),
    }


def _difference(detail: Difference) -> JsonValue:
    was, now = detail.committed, detail.derived
    return {
        "at": detail.at,
        **({} if isinstance(was, Absent) else {"was": was}),
        **({} if isinstance(now, Absent) else {"now": now}),
    }


def _told(detail: Difference, old: str, new: str) -> str:
    if isinstance(detail.derived, Absent):
        return f"{detail.at}: only {old}"
    if isinstance(detail.committed, Absent):
        return f"{detail.at}: only {new}"
    return f"{detail.at}: {detail.committed!r} {old}, {detail.derived!r} {new}"
