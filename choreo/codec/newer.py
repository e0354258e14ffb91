"""Events of a newer version than a service's class: read by their contract, or by nobody.

A class reads a newer version where it can read everything that its contract can say, which is
what ``choreo contracts check`` calls forward compatible; a version is read whole or not at all.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Generic

from choreo.codec import E
from choreo.codec.choice import media_type
from choreo.codec.schema_folder import SchemaFolder, read_contract
from choreo.contracts.annotations import shape_of
from choreo.contracts.derive import record_schema
from choreo.contracts.resolution import Obstacle, obstacles, spell_path
from choreo.contracts.schema import Schema, read_schema
from choreo.envelope import AVRO, Envelope
from choreo.errors import ConfigurationError, UnknownSchema, UnknownVersion, VersionHeld
from choreo.event import Event, Newer, event_type
from choreo.upcast import newer_version


def unreadable(event: type[Event], kind: str, found: Obstacle) -> UnknownVersion:
    """Say at which place the class of *event* cannot read what the version *kind* writes."""
    return UnknownVersion(
        f"{kind} is newer than this service, whose {event_type(event).type} cannot read it at "
        f"{spell_path(found.path)}: {found.written or 'nothing'} is no {found.read}"
    )


class NewerReader(Generic[E]):
    """Reads newer versions of one event by what reads its own, where their contracts allow it."""

    def __init__(
        self, event: type[E], decode: Callable[[Envelope], E], folder: SchemaFolder, policy: Newer
    ) -> None:
        self._event = event
        self._decode = decode
        self._folder = folder
        self._policy: Newer = policy
        self._own: Schema | None = None
        self._judged: dict[str, Obstacle | None] = {}

    def admit(self, envelope: Envelope) -> None:
        """Raise UnknownVersion for what can be told without reading it that it is unreadable."""
        if self._policy != "hold":
            self._judge(envelope)

    def read(self, envelope: Envelope) -> E:
        """Read an event; raise UnknownVersion, or VersionHeld, for a version that is unreadable."""
        try:
            self._judge(envelope)
            return self._decode(envelope)
        except UnknownVersion as error:
            problem = error
        except UnknownSchema as error:
            problem = UnknownVersion(f"{envelope.type} is newer than this service: {error}")
        raise problem if self._policy != "hold" else VersionHeld(str(problem)) from None

    def _judge(self, envelope: Envelope) -> None:
        # The schema of an Avro payload is named in the payload, for the codec to find and judge.
        if media_type(envelope.content_type) == AVRO:
            return
        kind = envelope.type
        if kind not in self._judged:
            path = self._folder.path(self._event, newer_version(event_type(self._event), kind))
            if not path.is_file():
                # Not remembered: whoever makes versions up gets no memory of ours.
                raise UnknownVersion(
                    f"{kind} is newer than this service, and its contract {path} is not there"
                )
            self._judged[kind] = self._obstacle(path)
        found = self._judged[kind]
        if found is not None:
            raise unreadable(self._event, kind, found)

    def _obstacle(self, path: Path) -> Obstacle | None:
        try:
            if self._own is None:
                self._own = read_schema(record_schema(shape_of(self._event)))
            written = read_schema(read_contract(path).schema, str(path))
        except ConfigurationError as error:
            raise UnknownVersion(f"{path} cannot be compared: {error}") from error
        return next(iter(obstacles(reader=self._own, writer=written)), None)
