"""The payload port: an event to bytes and back; the attributes around it are the envelope's."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from choreo.envelope import Envelope
from choreo.event import Event

E = TypeVar("E", bound=Event)


class Payload(NamedTuple):
    """One event as bytes, and where its schema is, for formats that have one."""

    data: bytes
    dataschema: str | None = None


class Codec(Protocol):
    """One payload format. Encoders and decoders are composed once per event class, at start."""

    @property
    def content_types(self) -> tuple[str, ...]:
        """Media types this format reads, lower case, without parameters; it writes the first."""
        ...

    def encoder(self, event: type[E], /) -> Callable[[E], Payload]:
        """Compose the function that writes *event*; it raises EncodeError.

        Raises ConfigurationError for a class that this format cannot express.
        """
        ...

    def decoder(self, event: type[E], /) -> Callable[[Envelope], E]:
        """Compose the function that reads *event*; it raises DecodeError and nothing else.

        Raises ConfigurationError for a class that this format cannot express.
        """
        ...
