"""JSON payloads, read and written by pydantic straight from and to bytes."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from choreo.codec import Codec, E, Payload
from choreo.codec.problems import MAX_PROBLEMS, Describe
from choreo.envelope import JSON, Envelope
from choreo.errors import DecodeError, EncodeError
from choreo.event import Event
from choreo.upcast import Chain, brought_up, chains

_KNOWN_REASONS = (
    re.compile(r"unknown type: <class '[^']*'>"),
    re.compile(r"field_name='[^']*'"),
    re.compile(r"surrogates not allowed"),
    re.compile(r"invalid utf-8"),
    re.compile(r"Circular reference"),
)
"""What pydantic may say of an event that it cannot write, and that holds no value of it (D10)."""

SCALARS: Mapping[object, type] = {
    kind: kind for kind in (str, int, float, bool, datetime, date, time, timedelta, UUID, Decimal)
}
"""Types whose values can be nothing but what they are."""
OVERRIDE = "__get_pydantic_core_schema__"
"""How a class, or what annotates a field, has pydantic read and write it in a way of its own."""

_tuple: Any = tuple
# What a named tuple is made by, without the call in Python that names its fields.
_payload = cast("Callable[[tuple[bytes, None]], Payload]", partial(_tuple.__new__, Payload))


class JsonCodec:
    """Reads and writes ``application/json`` and every ``+json`` type.

    Depth is limited by the parser, NaN and infinities are refused by the event classes (T7), and
    on writing also where a class lets anything pass.
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
        kinds = scalars(event)
        # Nothing else is written as what JSON does not have, and asking them costs least.
        floats = [place for place, kind in enumerate(kinds or ()) if kind is float]
        # Flags that change nothing take as long as writing does: no warning is due where types fit.
        named = any(field.serialization_alias for field in event.model_fields.values())

        def encode(value: E) -> Payload:
            try:
                if (
                    kinds is not None
                    and [*map(type, values := [*value.__dict__.values()])] == kinds
                ):
                    data = write(value, by_alias=True) if named else write(value)
                    for place in floats:
                        if not isfinite(values[place]):
                            break
                    else:
                        return _payload((data, None))
                else:
                    data = write(value, by_alias=True, warnings="error")
                if data.find(b"NaN") >= 0 or data.find(b"Infinity") >= 0:
                    from_json(data, allow_inf_nan=False)
                return _payload((data, None))
            except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
                problem = _reason(error)
            raise EncodeError(f"{event.__name__} cannot be written as JSON: {problem}")

        return encode

    def decoder(
        self, event: type[E], /, others: Callable[[Envelope], E] | None = None
    ) -> Callable[[Envelope], E]:
        """Compose the function that reads *event*; it raises DecodeError and nothing else.

        It leaves what is not announced as plain JSON to *others*, if there are any.
        """
        read: Callable[[bytes], E] = event.__pydantic_validator__.validate_json
        describe = Describe(event)
        older = chains(event)

        def decode(envelope: Envelope) -> E:
            if others is not None and envelope.content_type != JSON:
                return others(envelope)
            data = envelope.data
            if data is None:
                raise DecodeError(f"{event.__name__}: there is no data (a tombstone)")
            try:
                chain = older.get(envelope.type) if older else None
                return read(data if chain is None else _brought_up(data, chain))
            except ValidationError as error:
                problem = describe(error)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 -- validators are the author's and raise anything
                problem = f"{event.__name__}: {type(error).__name__} while validating"
            # Raised out here so that no error that knows the payload hangs on this one (D10).
            raise DecodeError(problem)

        return decode


def scalars(event: type[Event]) -> list[type] | None:
    """Tell the types of its values if *event* has scalars only, and pydantic's way to write them.

    Values of these very types are what the class says, so that pydantic need not be asked to look
    for others: that costs more than writing does.
    """
    decorators = event.__pydantic_decorators__
    if (
        event.model_computed_fields
        or decorators.field_serializers
        or decorators.model_serializers
        or event.model_config.get("extra") == "allow"
        or any(OVERRIDE in vars(each) for each in event.__mro__ if each is not BaseModel)
    ):
        return None
    kinds: list[type] = []
    for field in event.model_fields.values():
        kind = SCALARS.get(field.annotation)
        if kind is None or any(hasattr(each, OVERRIDE) for each in field.metadata):
            return None
        kinds.append(kind)
    return kinds


def _brought_up(data: bytes, chain: Chain) -> bytes:
    """Bring JSON up to the class; what a step makes of it is written as the class would be."""
    return to_json(brought_up(from_json(data, allow_inf_nan=False), chain), bytes_mode="base64")


def _reason(error: Exception) -> str:
    if not isinstance(error, PydanticSerializationError):
        return "NaN or infinity" if type(error) is ValueError else type(error).__name__
    text = str(error)
    found = [match[0] for known in _KNOWN_REASONS for match in known.finditer(text)]
    return "; ".join(found[:MAX_PROBLEMS]) or type(error).__name__


_: type[Codec] = JsonCodec
