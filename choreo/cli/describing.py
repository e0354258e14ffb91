"""``choreo asyncapi`` and ``choreo catalogue``: services described for others."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.catalogue.asyncapi import Info, document, server_of, with_registry
from choreo.catalogue.html import STYLESHEET, html
from choreo.catalogue.markdown import markdown
from choreo.catalogue.pages import pages
from choreo.cli.failure import NothingFound
from choreo.cli.locked import kept_here, locks, own
from choreo.cli.screen import print_json, print_line
from choreo.cli.target import service_or_event
from choreo.contracts.lock import LOCK, ServiceLock
from choreo.files import write
from choreo.service import Service
from choreo.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which services are described."""

    targets: Sequence[str] = ()
    locks: Sequence[Path] = ()
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What an AsyncAPI document is to say of itself."""

    brokers: Sequence[str] = ()
    registry: str | None = None
    title: str | None = None
    release: str = "1.0.0"
    output: Path | None = None


def described(request: Request) -> Mapping[str, ServiceLock]:
    """Gather what is named and what is locked; raise NothingFound if that is nothing.

    What is named goes before what a lock says of the same service.
    """
    found = {**locks(request.locks), **own(request.targets)}
    found = found or dict(kept_here())
    if not found:
        raise NothingFound(f"nothing to describe: name services, give --lock, or write {LOCK}")
    return found


def asyncapi(request: Request, wanted: Document) -> None:
    """Write the AsyncAPI document of services."""
    services = described(request)
    urls = wanted.brokers or _brokers(request.targets)
    servers = {server.name: server for url in urls if (server := server_of(url)) is not None}
    registry = wanted.registry or _registry(request.targets)
    if registry is not None:
        servers = {name: with_registry(one, registry) for name, one in servers.items()}
    info = Info(title=wanted.title or ", ".join(sorted(services)), version=wanted.release)
    found = document(services, list(servers.values()), info)
    if wanted.output is None and request.json:
        print_json(found)
        return
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if wanted.output is None:
        sys.stdout.write(text)
    else:
        write(wanted.output, text)


def catalogue(request: Request, output: Path, title: str) -> None:
    """Write the catalogue of services into a folder."""
    every = pages(described(request), title)
    write(output / "style.css", STYLESHEET)
    for page in every:
        path = output / f"{page.name}.html"
        write(path, html(page, every))
        write(path.with_name(f"{path.stem}.md"), markdown(page))
    if request.json:
        print_json({"path": str(output / "index.html"), "pages": len(every)})
    else:
        print_line(f"{len(every)} pages, beginning with {output / 'index.html'}")


def _brokers(targets: Sequence[str]) -> Sequence[str]:
    """Tell the brokers that services name themselves, or their settings."""
    return list(dict.fromkeys(one.broker for one in _settings(targets)))


def _registry(targets: Sequence[str]) -> str | None:
    """Tell the registry that services name, or their settings; the first where they differ."""
    return next((one.registry for one in _settings(targets) if one.registry is not None), None)


def _settings(targets: Sequence[str]) -> Sequence[Settings]:
    services = [one for one in map(service_or_event, targets) if isinstance(one, Service)]
    return [service.settings() for service in services]
