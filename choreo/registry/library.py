"""What a service knows of its registry: schemas by what payloads name them by, ids of its own.

Reading and writing never wait: what is not known yet is a SchemaPending, which whoever may wait
fetches. One fetch serves all who ask for the same; a registry that fails is left alone for a
while, and what it does not have is not asked for again at once (T8).
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal
from uuid import UUID

from choreo.clock import Clock
from choreo.codec.schema_folder import Contract, SchemaFolder, contract
from choreo.errors import (
    ConfigurationError,
    NotRegistered,
    RegistryError,
    RegistryUnavailable,
    UnknownSchema,
)
from choreo.event import Event
from choreo.registry.kept import read_ids
from choreo.registry.port import Registry, SchemaPending
from choreo.registry.subjects import Subjects, subject_of
from choreo.registry.versions import find_id, latest_versions, register_id

logger = logging.getLogger(__name__)

Framing = Literal["single_object", "confluent"]

ID_MARK = b"\x00"
"""Before an id of four bytes, big-endian, in front of the datum."""
GUID_MARK = b"\x01"
"""Before a GUID of sixteen bytes, in a header."""
ID_BYTES, GUID_BYTES, FINGERPRINT_BYTES = 5, 17, 8
MEANING_BYTES = FINGERPRINT_BYTES + 32
"""Of a fingerprint, and behind it the SHA-256 of what the data mean."""
MAX_SCHEMAS = 1000
ABSENT_FOR = 60.0
"""Seconds for which a registry is not asked again for what it did not have."""
FIRST_REST, LONGEST_REST = 0.5, 30.0
"""Seconds for which a registry that failed is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """How a service's events are framed and registered."""

    framing: Framing = "confluent"
    subjects: Subjects = "topic_record"
    register: bool = False
    """Register what is not there, in place of refusing it."""


@dataclass(frozen=True, slots=True)
class _Absent:
    """Stands for a schema that the registry does not have, or that is none."""

    why: str
    until: float


class Library:
    """The schemas of one registry, as far as one service has met them."""

    def __init__(
        self, registry: Registry, folder: SchemaFolder, clock: Clock, conventions: Conventions
    ) -> None:
        """Read the ids that are kept; raise ConfigurationError for a file that holds none."""
        self._registry = registry
        self._folder = folder
        self._clock = clock
        self._conventions = conventions
        self._kept: Mapping[str, int] = read_ids(folder.root, registry.url)
        self._ids: dict[type[Event], int] = {}
        self._known: OrderedDict[bytes, Contract | _Absent] = OrderedDict()
        self._asking: dict[object, asyncio.Task[None]] = {}
        self._rest = FIRST_REST
        self._rests_until = 0.0
        self._failure = ""

    @property
    def frames(self) -> bool:
        """Say whether what is written bears ids of the registry."""
        return self._conventions.framing == "confluent"

    def prefix(self, event: type[Event]) -> bytes:
        """Tell what goes before a datum of *event*; raise SchemaPending while its id is unknown."""
        identity = self._ids.get(event)
        if identity is None:
            raise SchemaPending(
                f"{event.__name__}: its id in the registry {self._registry.url} is not known yet",
                partial(self.learn, event),
            )
        return ID_MARK + identity.to_bytes(4, "big")

    def writer(self, mark: bytes, event: type[Event]) -> Contract:
        """Find the schema that *mark* names: an id, a GUID, or a fingerprint and its meaning.

        Raises SchemaPending while it is not known, and UnknownSchema if there is none.
        """
        found = self._known.get(mark)
        if isinstance(found, Contract):
            self._known.move_to_end(mark)
            return found
        if found is not None and self._clock.monotonic() < found.until:
            raise UnknownSchema(f"{event.__name__}: {found.why}")
        raise SchemaPending(
            f"{event.__name__}: {_spell(mark)} is not known yet", partial(self._fetch, mark, event)
        )

    async def prepare(self, events: Iterable[type[Event]]) -> None:
        """Learn the ids of what will be written; without the registry, by those that are kept.

        Raises RegistryUnavailable where neither knows, and ConfigurationError for what is not
        registered, or must not be.
        """
        for event in events:
            try:
                await self.learn(event)
            except RegistryUnavailable as error:
                if self.frames:
                    raise
                self._alone(event, error)

    async def learn(self, event: type[Event]) -> None:
        """Ask for the id of *event*'s contract, or register it; without an answer take the kept."""
        try:
            await self._once(event, partial(self._learn, event))
        except RegistryUnavailable as error:
            kept = self._kept.get(self._folder.committed(event).digest)
            if kept is None:
                raise
            self._ids[event] = kept
            self._alone(event, error)

    def _alone(self, event: type[Event], error: RegistryUnavailable) -> None:
        names = {"event": event.__name__, "error": str(error)}
        logger.warning("going on without the registry", extra=names)

    async def _learn(self, event: type[Event]) -> None:
        committed = self._folder.committed(event)
        subject = subject_of(event, self._conventions.subjects)
        try:
            named = register_id if self._conventions.register else find_id
            identity = await named(self._registry, subject, committed)
        except NotRegistered as error:
            raise ConfigurationError(
                f"{event.__name__}: {committed.origin} is not registered as {subject} at "
                f"{self._registry.url}: run 'choreo registry register "
                f"{event.__module__}:{event.__qualname__}', or set register_schemas"
            ) from error
        kept = self._kept.get(committed.digest, identity)
        if kept != identity:
            names = {"event": event.__name__, "kept": kept, "registry": identity}
            logger.warning("the kept ids are of another registry", extra=names)
        self._ids[event] = identity
        self._keep(ID_MARK + identity.to_bytes(4, "big"), committed)

    async def _fetch(self, mark: bytes, event: type[Event]) -> None:
        """Ask for the schema that *mark* names."""
        await self._once(mark, partial(self._look_up, mark, event))

    async def _look_up(self, mark: bytes, event: type[Event]) -> None:
        try:
            if len(mark) in {FINGERPRINT_BYTES, MEANING_BYTES}:
                found = await self._by_fingerprint(mark, event)
            elif len(mark) == GUID_BYTES:
                guid = UUID(bytes=mark[1:])
                found = contract(await self._registry.by_guid(guid), _spell(mark))
            else:
                identity = int.from_bytes(mark[1:], "big")
                found = contract(await self._registry.by_id(identity), _spell(mark))
        except (NotRegistered, ConfigurationError) as error:
            self._keep(mark, _Absent(str(error), self._clock.monotonic() + ABSENT_FOR))
        except RegistryUnavailable:
            kept = self._by_kept_id(mark)
            if kept is None:
                raise
            self._keep(mark, kept)
        else:
            self._keep(mark, found)

    async def _by_fingerprint(self, mark: bytes, event: type[Event]) -> Contract:
        subject = subject_of(event, self._conventions.subjects)
        async for _, kept in latest_versions(self._registry, subject):
            if mark in (kept.fingerprint, kept.fingerprint + bytes.fromhex(kept.meaning)):
                return kept
        raise NotRegistered(f"no version of {subject} has {_spell(mark)}")

    def _by_kept_id(self, mark: bytes) -> Contract | None:
        if len(mark) != ID_BYTES:
            return None
        identity = int.from_bytes(mark[1:], "big")
        digests = {digest for digest, one in self._kept.items() if one == identity}
        every = (one for found in self._folder.load().values() for one in found)
        return next((one for one in every if one.digest in digests), None)

    def _keep(self, mark: bytes, found: Contract | _Absent) -> None:
        self._known[mark] = found
        self._known.move_to_end(mark)
        while len(self._known) > MAX_SCHEMAS:
            self._known.popitem(last=False)

    async def _once(self, what: object, ask: Callable[[], Coroutine[None, None, None]]) -> None:
        """Ask once for all who want the same meanwhile; leave a registry alone that failed."""
        asking = self._asking.get(what)
        if asking is None:
            now = self._clock.monotonic()
            if now < self._rests_until:
                raise RegistryUnavailable(f"{self._failure} (not asked again yet)")
            asking = asyncio.get_running_loop().create_task(self._ask(ask), name="choreo registry")
            self._asking[what] = asking
            asking.add_done_callback(partial(self._asked, what))
        # Shielded: one who gives up takes the answer from nobody else.
        await asyncio.shield(asking)

    async def _ask(self, ask: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await ask()
        except RegistryError as error:
            self._failure = str(error)
            self._rests_until = self._clock.monotonic() + self._rest
            self._rest = min(2 * self._rest, LONGEST_REST)
            raise
        self._rest = FIRST_REST

    def _asked(self, what: object, asking: "asyncio.Task[None]") -> None:
        del self._asking[what]
        if not asking.cancelled():
            asking.exception()  # whoever waited for it has been told

    async def close(self) -> None:
        """Give up what is being asked."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def _spell(mark: bytes) -> str:
    """Name a schema as people do."""
    if len(mark) in {FINGERPRINT_BYTES, MEANING_BYTES}:
        return f"the fingerprint {mark[:FINGERPRINT_BYTES][::-1].hex()}"
    if len(mark) == GUID_BYTES:
        return f"the registry's schema {UUID(bytes=mark[1:])}"
    return f"the registry's schema {int.from_bytes(mark[1:], 'big')}"
