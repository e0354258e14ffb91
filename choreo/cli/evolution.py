"""Contracts beside their predecessors: what breaks, who reads it, and who goes first."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from choreo.cli.acceptance import Acceptance, read_acceptance
from choreo.cli.history import Folder, Histories, Release, in_commit, in_folder
from choreo.contracts.compatibility import Finding, Order, Verdict, deploy_order, judge
from choreo.contracts.difference import Difference, differences
from choreo.contracts.field_use import FieldUse, field_use
from choreo.contracts.mode import Direction, Mode
from choreo.event import Event, event_type
from choreo.plan import Plan
from choreo.service import Service
from choreo.upcast import chains


@dataclass(frozen=True, slots=True)
class Reader:
    """One handler of a version that breaks."""

    service: str
    handler: str
    found: FieldUse


@dataclass(frozen=True, slots=True)
class Change:
    """One version beside those before it."""

    folder: Folder
    new: Release
    last: Release
    verdict: Verdict
    acceptance: Acceptance | None
    readers: Mapping[Finding, Sequence[Reader]]

    upcast: Collection[int]
    """Earlier versions that the class converts."""

    @property
    def open(self) -> Sequence[Finding]:
        """What breaks, is not converted and was not accepted."""
        accepted = self.acceptance.covers if self.acceptance else frozenset[str]()
        return [
            one
            for one in self.verdict.breaks
            if key_of(one) not in accepted and not self.converts(one)
        ]

    @property
    def order(self) -> Order:
        """Who may be deployed first."""
        return deploy_order([one for one in self.verdict.findings if not self.converts(one)])

    def converts(self, one: Finding) -> bool:
        """Tell whether the class reads that version by its upcasters."""
        return one.direction is Direction.BACKWARD and one.earlier in self.upcast


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A committed contract that a commit has otherwise, or that is gone."""

    was: Release
    now: Release | None
    details: Sequence[Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be judged."""

    roots: Sequence[Path]
    mode: Mode = Mode.FULL_TRANSITIVE
    against: str | None = None
    derived: Mapping[tuple[Path, Folder], Release]
    """What classes say that have no contract yet."""
    services: Sequence[Service] = ()
    events: Sequence[type[Event]] = ()
    """Classes beside those that services read."""


def key_of(one: Finding) -> str:
    """Tell a finding apart from others of its version."""
    return f"v{one.earlier} {one.direction} {one.kind} {one.at}"


def changes(question: Question) -> Iterator[Change]:
    """Judge the newest version of each contract; all that a commit does not have, if one is given.

    Raises ConfigurationError for what cannot be read.
    """
    consumers = _consumers(question.services)
    upcast = _upcast(question)
    for root in question.roots:
        before = in_commit(root, question.against) if question.against else None
        for folder, releases in _with_derived(root, question).items():
            known = _numbers(before, folder)
            for index, new in enumerate(releases):
                judged = new.number not in known if before is not None else new is releases[-1]
                if index and judged:
                    releases_until = releases[: index + 1]
                    found = _change(root, folder, releases_until, question.mode, consumers)
                    yield replace(found, upcast=upcast.get((folder, new.number), ()))


def rewritten(question: Question) -> Iterator[Rewritten]:
    """List what a commit has and the folder does not have any more, or has otherwise."""
    if question.against is None:
        return
    for root in question.roots:
        now = in_folder(root)
        for folder, releases in in_commit(root, question.against).items():
            by_number = {one.number: one for one in now.get(folder, ())}
            for was in releases:
                found = by_number.get(was.number)
                details = differences(was.schema, found.schema) if found else []
                if found is None or details:
                    yield Rewritten(was, found, details)


def folder_of(event: type[Event]) -> Folder:
    """Tell where the contracts of *event* are, within the folder of all."""
    declared = event_type(event)
    return PurePosixPath(declared.topic.flat, declared.name)


def _with_derived(root: Path, question: Question) -> Histories:
    """Put classes that have a newer version behind the contracts that are committed."""
    now = {folder: list(releases) for folder, releases in in_folder(root).items()}
    for (of, folder), derived in question.derived.items():
        releases = now.setdefault(folder, [])
        if of == root and (not releases or releases[-1].number < derived.number):
            releases.append(derived)
    return {folder: releases for folder, releases in now.items() if releases}


Consumers = Mapping[tuple[Folder, int], Sequence[tuple[Service, Plan]]]


def _consumers(services: Sequence[Service]) -> Consumers:
    found: dict[tuple[Folder, int], list[tuple[Service, Plan]]] = {}
    for service in services:
        for plan in service.plans:
            version = event_type(plan.event).version
            found.setdefault((folder_of(plan.event), version), []).append((service, plan))
    return found


def _upcast(question: Question) -> Mapping[tuple[Folder, int], Collection[int]]:
    """Tell which earlier versions the classes convert."""
    read = {plan.event for service in question.services for plan in service.plans}
    return {
        (folder_of(event), event_type(event).version): [
            int(kind.rpartition(".v")[2]) for kind in chains(event)
        ]
        for event in {*read, *question.events}
    }


def _change(
    root: Path, folder: Folder, releases: Sequence[Release], mode: Mode, consumers: Consumers
) -> Change:
    *earlier, new = releases
    verdict = judge(new.version.schema, [one.version for one in earlier], mode)
    return Change(
        folder=folder,
        new=new,
        last=earlier[-1],
        verdict=verdict,
        acceptance=read_acceptance(root / folder, new.number, new.digest),
        readers={one: _readers(one, folder, new.number, consumers) for one in verdict.findings},
        upcast=(),
    )


def _readers(one: Finding, folder: Folder, new: int, consumers: Consumers) -> Sequence[Reader]:
    """List who would have to read what does not fit: of the old version, or of the new one."""
    version = one.earlier if one.direction is Direction.FORWARD else new
    return [
        Reader(service.name, plan.id, field_use(plan.function, plan.event, one.path))
        for service, plan in consumers.get((folder, version), ())
    ]


def _numbers(before: Histories | None, folder: Folder) -> frozenset[int]:
    return frozenset(one.number for one in (before or {}).get(folder, ()))
