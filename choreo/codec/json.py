"""JSON payloads, read and written by pydantic straight from and to bytes."""

from collections.abc import Callable

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from choreo.codec import Codec, E, Payload
from choreo.codec.problems import Describe
from choreo.envelope import Envelope
from choreo.errors import DecodeError, EncodeError


class JsonCodec:
    """Reads and writes ``application/json`` and every ``+json`` type.

    Depth is limited by the parser, NaN and infinities are refused by the event classes (T7).
    """

    @property
    def content_types(self) -> tuple[str, ...]:
        """Media types this format reads, lower case, without parameters; it writes the first."""
        return ("application/json", "*/*+json")

    def encoder(self, event: type[E], /) -> Callable[[E], Payload]:
        """Compose the function that writes *event*; it raises EncodeError."""
        # Dunder attributes of pydantic, documented as its public core: the bound methods save a
        # third of the time of model_dump_json and model_validate_json.
        write = event.__pydantic_serializer__.to_json

        def encode(value: E) -> Payload:
            try:
                return Payload(write(value, by_alias=True, warnings="error"))
            except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
                kind = type(error).__name__
            raise EncodeError(f"{event.__name__} cannot be written as JSON ({kind})")

        return encode

    def decoder(self, event: type[E], /) -> Callable[[Envelope], E]:
        """Compose the function that reads *event*; it raises DecodeError and nothing else."""
        read: Callable[[bytes], E] = event.__pydantic_validator__.validate_json
        describe = Describe(event)

        def decode(envelope: Envelope) -> E:
            data = envelope.data
            if data is None:
                raise DecodeError(f"{event.__name__}: there is no data (a tombstone)")
            try:
                return read(data)
            except ValidationError as error:
                problem = describe(error)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 -- validators are the author's and raise anything
                problem = f"{event.__name__}: {type(error).__name__} while validating"
            # Raised out here so that no error that knows the payload hangs on this one (D10).
            raise DecodeError(problem)

        return decode


_: type[Codec] = JsonCodec
