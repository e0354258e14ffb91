"""What is told of services that would be deployed."""

from collections.abc import Collection, Sequence
from itertools import groupby

from pydantic import JsonValue

from choreo.cli.screen import print_json, print_line
from choreo.contracts.clash import Clash, Odds
from choreo.contracts.clash_remedy import clash_remedy, stub
from choreo.contracts.deployment import Constraint, Deployment, Overlap


def show_deployment(found: Deployment, candidates: Collection[str], *, json: bool) -> None:
    """Tell what would be at odds, and in which order to go."""
    if json:
        _print_json(found, candidates)
        return
    for state, clashes in _states(found).items():
        _show(state, clashes, candidates)
    for overlap in found.overlaps:
        clash = overlap.clash
        print_line(f"rolling    {clash.event} v{clash.version}: {clash.writer}, {_ways(overlap)}")
        _details([clash], candidates if overlap.new_writes else ())
    for one in found.constraints:
        print_line(f"order      {one.first} before {one.then}")
        _details([one.clash], candidates)
    if found.safe and found.order is not None:
        order = ", then ".join(found.order) if found.constraints else "in any order"
        print_line(f"deploy     {', '.join(sorted(candidates))}: {order}")
    elif found.order is None:
        print_line("refused    each of these would have to be deployed before another")


def _states(found: Deployment) -> dict[str, Sequence[Clash]]:
    return {"refused": found.refused, "known": found.known, "retained": found.retained}


def _show(state: str, clashes: Sequence[Clash], candidates: Collection[str]) -> None:
    """Tell them by who writes what to whom."""
    for (event, version, writer, reader), some in groupby(
        clashes, lambda one: (one.event, one.version, one.writer, one.reader)
    ):
        print_line(f"{state:<10} {event} v{version}: {writer} → {reader}")
        _details(list(some), candidates)


def _details(clashes: Sequence[Clash], candidates: Collection[str]) -> None:
    for one in clashes:
        was, now = _sides(one, candidates)
        print_line(f"    {one.at} ({one.kind}): was {was or 'nothing'}, now {now or 'nothing'}")
        for each in one.handlers:
            print_line(f"        {one.reader}.{each.handler} {each.found.use}: {each.found.where}")
        print_line(f"        fix: {clash_remedy(one)}")
        for line in (stub(one) or "").splitlines():
            print_line(f"        {line}")


def _sides(one: Clash, candidates: Collection[str]) -> tuple[str | None, str | None]:
    """Tell what was and what is now: of two that are both new, the writer's is."""
    changed = one.writer in candidates or one.kind is Odds.GONE
    return (one.read, one.written) if changed else (one.written, one.read)


def _print_json(found: Deployment, candidates: Collection[str]) -> None:
    for state, clashes in _states(found).items():
        for one in clashes:
            print_json(_clash(one, state, candidates))
    for overlap in found.overlaps:
        told = _clash(overlap.clash, "rolling", candidates if overlap.new_writes else ())
        print_json({**told, "ways": _ways(overlap)})
    for constraint in found.constraints:
        print_json(_constraint(constraint, candidates))
    print_json(
        {
            "deploy": found.safe,
            "services": sorted(candidates),
            "order": None if found.order is None else list(found.order),
            "any_order": found.safe and not found.constraints,
        }
    )


def _ways(overlap: Overlap) -> str:
    return "new to old" if overlap.new_writes else "old to new"


def _constraint(one: Constraint, candidates: Collection[str]) -> dict[str, JsonValue]:
    return {**_clash(one.clash, "order", candidates), "first": one.first, "then": one.then}


def _clash(one: Clash, state: str, candidates: Collection[str]) -> dict[str, JsonValue]:
    was, now = _sides(one, candidates)
    return {
        "state": state,
        "event": one.event,
        "topic": one.topic,
        "writer": one.writer,
        "reader": one.reader,
        "version": one.version,
        "reads": one.reads,
        "kind": one.kind.value,
        "at": one.at,
        "was": was,
        "now": now,
        "readers": [
            {
                "service": one.reader,
                "handler": each.handler,
                "use": each.found.use.name.lower(),
                "where": each.found.where,
            }
            for each in one.handlers
        ],
        "fix": clash_remedy(one),
        "upcaster": stub(one),
    }
