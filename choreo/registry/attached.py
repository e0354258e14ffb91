"""A service's registry while it runs, and what must be known of it before the first event."""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from choreo.codec.avro import AvroCodec
from choreo.codec.choice import Codecs
from choreo.codec.json import JsonCodec
from choreo.codec.schema_folder import SchemaFolder
from choreo.environment import Environment
from choreo.errors import RegistryUnavailable
from choreo.event import Event
from choreo.registry.library import Conventions, Framing, Library
from choreo.registry.opening import open_registry
from choreo.retry import FOREVER
from choreo.settings import Settings

logger = logging.getLogger(__name__)


def framing_of(settings: Settings) -> Framing:
    """Tell how Avro is framed: as the settings say, else by whether there is a registry."""
    return settings.framing or ("confluent" if settings.registry else "single_object")


@asynccontextmanager
async def attached(
    settings: Settings, environment: Environment, written: Iterable[type[Event]] = ()
) -> AsyncGenerator[Codecs]:
    """Attach the registry that the settings name, and learn the ids of what is *written*.

    Raises ConfigurationError for a URL without a client and for what is not registered, and
    RegistryUnavailable after ``start_timeout`` for ids that nobody knows.
    """
    assert settings.registry is not None  # noqa: S101 -- whoever asks has looked
    conventions = Conventions(
        framing=framing_of(settings),
        subjects=settings.subjects,
        register=settings.register_schemas,
    )
    async with open_registry(settings.registry) as registry:
        folder = SchemaFolder(settings.schemas)
        folder.load()
        library = Library(registry, folder, environment.clock, conventions)
        avro, json = AvroCodec(folder, library=library), JsonCodec()
        try:
            if settings.codec == "avro":
                await _prepared(library, list(written), settings, environment)
            yield Codecs(avro, json) if settings.codec == "avro" else Codecs(json, avro)
        finally:
            await library.close()


async def _prepared(
    library: Library, events: list[type[Event]], settings: Settings, environment: Environment
) -> None:
    clock, tries = environment.clock, 0
    give_up = clock.monotonic() + settings.start_timeout.total_seconds()
    while True:
        try:
            await library.prepare(events)
        except RegistryUnavailable as error:
            tries += 1
            delay = FOREVER.backoff(tries, environment.random)
            if clock.monotonic() + delay > give_up:
                raise
            logger.warning("registry cannot be reached yet", extra={"error": str(error)})
            await clock.sleep(delay)
        else:
            return
