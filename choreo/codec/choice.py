"""Which payload format a delivery is in: chosen by its content type."""

from collections.abc import Callable, Sequence

from choreo.codec import Codec, E, Payload
from choreo.codec.json import JsonCodec
from choreo.envelope import JSON, Envelope
from choreo.errors import ConfigurationError, DecodeError

MAX_REMEMBERED = 256
"""Spellings of content types remembered; producers use a few, whoever makes up more gets none."""


class Codecs:
    """Some payload formats: writes in the first, reads whichever an envelope announces."""

    def __init__(self, writing: Codec, *reading: Codec) -> None:
        self._codecs: Sequence[Codec] = (writing, *reading)

    @property
    def content_types(self) -> tuple[str, ...]:
        """All media types that can be read; the first is what is written."""
        return tuple(kind for codec in self._codecs for kind in codec.content_types)

    def encoder(self, event: type[E], /) -> Callable[[E], Payload]:
        """Compose the function that writes *event* in the first format; it raises EncodeError."""
        return self._codecs[0].encoder(event)

    def decoder(self, event: type[E], /) -> Callable[[Envelope], E]:
        """Compose the function that reads *event* in any of the formats; it raises DecodeError.

        Raises ConfigurationError for a class that no format can express. Where only some cannot,
        events that come in those are undecodable, and the error says why.
        """
        readers: dict[str, Callable[[Envelope], E]] = {}
        problems: list[ConfigurationError] = []
        commonest: JsonCodec | None = None
        for codec in self._codecs:
            try:
                decode = codec.decoder(event)
            except ConfigurationError as error:
                problems.append(error)
                decode = _refusing(event, str(error))
            else:
                if isinstance(codec, JsonCodec) and JSON not in readers:
                    commonest = codec
            for kind in codec.content_types:
                readers.setdefault(kind, decode)
        if len(problems) == len(self._codecs):
            raise problems[0]
        chosen = _choosing(event, readers)
        # Nearly all events are JSON, which need not be chosen in a call of its own.
        return chosen if commonest is None else commonest.decoder(event, chosen)


def media_type(content_type: str) -> str:
    """Tell type and subtype of *content_type* in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def _choosing(
    event: type[E], readers: dict[str, Callable[[Envelope], E]]
) -> Callable[[Envelope], E]:
    remembered = dict(readers)

    def decode(envelope: Envelope) -> E:
        read = remembered.get(envelope.content_type)
        if read is None:
            media = media_type(envelope.content_type)
            kind, _, suffix = media.rpartition("+")
            read = readers.get(media) or (readers.get(f"*/*+{suffix}") if "/" in kind else None)
            if read is None:
                known = ", ".join(readers)
                raise DecodeError(
                    f"{event.__name__}: its content type is none of those that can be read: {known}"
                )
            if len(remembered) < MAX_REMEMBERED:
                remembered[envelope.content_type] = read
        return read(envelope)

    return decode


def _refusing(event: type[E], why: str) -> Callable[[Envelope], E]:
    def decode(_: Envelope) -> E:
        raise DecodeError(f"{event.__name__} cannot be read in this format: {why}")

    return decode
