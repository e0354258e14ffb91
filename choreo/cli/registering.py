"""What ``choreo registry`` does: serve one, and bring the contracts of events into one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.cli.screen import print_json, print_line
from choreo.cli.signals import Interruption
from choreo.cli.target import service_or_event
from choreo.codec.schema_folder import Contract, SchemaFolder, read_contract
from choreo.errors import ConfigurationError
from choreo.event import Event, event_type
from choreo.formats import written_by
from choreo.registry.kept import keep_ids
from choreo.registry.local import LocalRegistry
from choreo.registry.opening import open_registry
from choreo.registry.subjects import subject_of
from choreo.registry.versions import register_id
from choreo.service import Service
from choreo.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which events, and where."""

    targets: Sequence[str]
    registry: str | None
    schemas: Path | None


async def serve(host: str, port: int, database: Path | None, *, json: bool) -> None:
    """Serve until a signal, having told where."""
    try:
        registry = LocalRegistry(host=host, port=port, database=database)
    except OSError as error:
        raise ConfigurationError(f"no registry can listen at {host}:{port}: {error}") from error
    stopped = asyncio.Event()
    Interruption().listen(stopped.set)
    with registry:
        if json:
            print_json({"registry": registry.url})
        else:
            print_line(f"registry at {registry.url}")
        await stopped.wait()


async def register(request: Request, *, json: bool) -> None:
    """Register contracts, the oldest versions first, and tell and keep their ids."""
    for target in request.targets:
        found = service_or_event(target)
        given = {"registry": request.registry, "schemas": request.schemas}
        if isinstance(found, Service):
            settings, events = found.settings(**given), written_by(found)
        else:
            settings, events = Settings.load(**given), {found}
        await _register(sorted(events, key=lambda one: event_type(one).type), settings, json=json)


async def _register(events: Sequence[type[Event]], settings: Settings, *, json: bool) -> None:
    if settings.registry is None:
        raise ConfigurationError("no registry is set: give --registry, or set CHOREO_REGISTRY")
    folder = SchemaFolder(settings.schemas)
    async with open_registry(settings.registry) as registry:
        for event in events:
            folder.committed(event)
            subject = subject_of(event, settings.subjects)
            for contract in _versions(folder.path(event).parent):
                identity = await register_id(registry, subject, contract)
                keep_ids(folder.root, registry.url, {contract.digest: identity})
                _say(subject, identity, contract, json=json)


def _versions(folder: Path) -> list[Contract]:
    """Read the contracts of one event, the oldest first."""
    paths = [path for path in folder.glob("*.avsc") if path.stem.isdecimal()]
    return [read_contract(path) for path in sorted(paths, key=lambda path: int(path.stem))]


def _say(subject: str, identity: int, contract: Contract, *, json: bool) -> None:
    if json:
        print_json({"subject": subject, "id": identity, "contract": contract.origin})
    else:
        print_line(f"{identity:>6}  {subject}  {contract.origin}")
