"""Classes that services read with, beside the contracts of the versions they name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.cli.evolution import folder_of
from choreo.cli.history import Release, in_folder
from choreo.cli.screen import print_json, print_line
from choreo.cli.standing import named
from choreo.contracts.derive import derive
from choreo.contracts.resolution import Obstacle, obstacles, spell_path
from choreo.contracts.schema import read_schema
from choreo.errors import ConfigurationError
from choreo.event import Event, event_type
from choreo.plan import Plan
from choreo.service import Service


@dataclass(frozen=True, slots=True)
class Misfit:
    """A class that cannot read what its own version's contract says."""

    service: str
    plan: Plan
    written: Release
    obstacles: Sequence[Obstacle]
    problem: str | None = None
    """Why the class has no schema at all."""


def misfits(services: Sequence[Service], roots: Sequence[Path]) -> Iterator[Misfit]:
    """List the handlers whose class cannot read what the committed contract of its version says."""
    folders = [in_folder(root) for root in roots]
    for service in services:
        for plan in service.plans:
            version, folder = event_type(plan.event).version, folder_of(plan.event)
            for releases in folders:
                for written in releases.get(folder, ()):
                    if written.number == version:
                        yield from _misfit(service.name, plan, written)


def show_misfit(one: Misfit, *, json: bool) -> None:
    """Tell why a handler cannot read what is written for it."""
    where, event = one.plan.where, named(one.plan.event)
    if json:
        print_json(
            {
                "path": one.written.origin,
                "state": "unfit",
                "event": event,
                "service": one.service,
                "handler": one.plan.id,
                "where": where,
                "problem": one.problem,
                "findings": [
                    {"at": spell_path(each.path), "kind": each.kind.value,
                     "written": each.written, "read": each.read}
                    for each in one.obstacles
                ],
            }
        )  # fmt: skip
        return
    print_line(f"unfit      {one.written.origin}  {event}")
    print_line(f"    {one.service}.{one.plan.id} cannot read it: {where}")
    if one.problem is not None:
        print_line(f"    {one.problem}")
    for each in one.obstacles:
        written, read = each.written or "nothing", each.read or "nothing"
        print_line(f"    {spell_path(each.path)} ({each.kind}): {written} written, {read} read")


def _misfit(service: str, plan: Plan, written: Release) -> Iterator[Misfit]:
    try:
        found = _obstacles(plan.event, written)
    except ConfigurationError as error:
        yield Misfit(service, plan, written, (), str(error))
        return
    if found:
        yield Misfit(service, plan, written, found)


def _obstacles(event: type[Event], written: Release) -> Sequence[Obstacle]:
    reader = read_schema(derive(event), f"class {event.__name__}")
    return obstacles(reader=reader, writer=written.version.schema)
