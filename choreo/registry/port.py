"""The port to a schema registry: what choreo asks of one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar
from uuid import UUID

from pydantic import JsonValue

from choreo.contracts.mode import Mode
from choreo.errors import ChoreoError

T = TypeVar("T")


class SchemaPending(ChoreoError):
    """A payload's schema, or the id of one, must be fetched first: *fetch* does, and then again.

    It raises RegistryError while the registry cannot tell.
    """

    def __init__(self, message: str, fetch: Callable[[], Awaitable[None]]) -> None:
        super().__init__(message)
        self.fetch = fetch


async def fetching(work: Callable[[], T]) -> T:
    """Do *work*, and again once what it lacks has been fetched. Raises RegistryError."""
    while True:
        try:
            return work()
        except SchemaPending as pending:
            await pending.fetch()


def fetching_sync(work: Callable[[], T]) -> T:
    """Do as ``fetching`` does, for whoever may block, in an event loop of its own."""
    while True:
        try:
            return work()
        except SchemaPending as pending:
            # In a thread of its own: the caller's may be running a loop already.
            with ThreadPoolExecutor(1, thread_name_prefix="choreo registry") as thread:
                thread.submit(asyncio.run, _fetched(pending)).result()


async def _fetched(pending: SchemaPending) -> None:
    await pending.fetch()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One version of a subject."""

    subject: str
    id: int
    version: int
    schema: JsonValue


class Registry(Protocol):
    """A schema registry.

    Every call raises RegistryUnavailable where trying again may help, NotRegistered for what is not
    there, and RegistryError for any other answer.
    """

    @property
    def url(self) -> str:
        """Where it is, without what is secret."""
        ...

    async def __aenter__(self) -> Self:
        """Get ready; the registry is not asked anything yet."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of connections."""
        ...

    async def register(self, subject: str, schema: JsonValue) -> int:
        """Return the id of *schema* in *subject*, registered if need be.

        Raises IncompatibleSchema if the subject's compatibility forbids it.
        """
        ...

    async def find(self, subject: str, schema: JsonValue) -> Registered:
        """Tell under which id and version *schema* is registered in *subject*."""
        ...

    async def by_id(self, identity: int) -> JsonValue:
        """Return the Avro schema with this id, with what it refers to inside."""
        ...

    async def by_guid(self, guid: UUID) -> JsonValue:
        """Return the Avro schema with this GUID, which not every registry knows."""
        ...

    async def by_version(self, subject: str, version: int | None = None) -> Registered:
        """Return one version of a subject, the latest if none is named."""
        ...

    async def subjects(self) -> Sequence[str]:
        """List the subjects."""
        ...

    async def versions(self, subject: str) -> Sequence[int]:
        """List the versions of a subject, oldest first."""
        ...

    async def incompatibilities(
        self, subject: str, schema: JsonValue, version: int | None = None
    ) -> Sequence[str] | None:
        """Tell why *schema* may not follow in *subject*; None if it may.

        Compares with one version, or with the latest if none is named.
        """
        ...

    async def mode(self, subject: str | None = None) -> Mode:
        """Tell the compatibility that is asked of a subject, or of those with none of their own."""
        ...

    async def set_mode(self, mode: Mode, subject: str | None = None) -> None:
        """Ask for another compatibility."""
        ...
