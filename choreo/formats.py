"""The payload formats of a service or a command, with the schema registry where there is one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from choreo.assembly import codecs
from choreo.codec import Codec, E, Payload
from choreo.codec.choice import Codecs
from choreo.envelope import Envelope
from choreo.environment import Environment
from choreo.event import Event
from choreo.registry.port import SchemaPending
from choreo.resend import ResendRequested
from choreo.sequences import resends
from choreo.service import Service
from choreo.settings import Settings


@asynccontextmanager
async def formats(
    settings: Settings,
    environment: Environment,
    written: Iterable[type[Event]],
    *,
    hasty: bool = False,
) -> AsyncGenerator[Codecs]:
    """Build the payload formats, and learn from the registry what it takes to write *written*.

    Raises what ``attached`` raises; a *hasty* caller does not wait for a registry to come up.
    """
    if settings.registry is None:
        yield codecs(settings)
        return
    from choreo.registry.attached import attached  # noqa: PLC0415 -- fastavro when used

    if hasty:
        settings = settings.model_copy(update={"start_timeout": timedelta(0)})
    async with attached(settings, environment, written) as found:
        yield found


def written_by(service: Service[Any]) -> set[type[Event]]:
    """Tell the events that the handlers of *service* emit."""
    events = {event for plan in service.plans for event in plan.emits}
    return events | ({ResendRequested} if resends(service.plans) else set())


class OccasionalCodec:
    """Writes events as a service does that has a registry, and asks that once for each class.

    An event of a class that was not learnt is a SchemaPending. It reads what needs no registry.
    """

    def __init__(self, settings: Settings, environment: Environment) -> None:
        """Raise ConfigurationError for a committed contract that is no schema."""
        self._settings = settings
        self._environment = environment
        self._framed = settings.codec == "avro" and settings.framing != "single_object"
        self._plain = codecs(settings)
        self._encoders: dict[type[Event], Callable[[Any], Payload]] = {}
        self._asking: dict[tuple[asyncio.AbstractEventLoop, type[Event]], asyncio.Task[None]] = {}

    @property
    def content_types(self) -> tuple[str, ...]:
        """Media types that can be read; the first is what is written."""
        return self._plain.content_types

    def encoder(self, event: type[E], /) -> Callable[[E], Payload]:
        """Tell how *event* is written; raise SchemaPending for a class that was not learnt."""
        if self._settings.registry is None or not self._framed:
            return self._plain.encoder(event)
        if event not in self._encoders:
            raise SchemaPending(
                f"{event.__name__}: the registry has not been asked for its id",
                lambda: self.learn(event),
            )
        return self._encoders[event]

    def decoder(self, event: type[E], /) -> Callable[[Envelope], E]:
        """Compose the function that reads *event*."""
        return self._plain.decoder(event)

    async def learn(self, event: type[Event]) -> None:
        """Ask the registry how *event* is written, once for all who ask meanwhile in one loop.

        Raises what ``attached`` raises.
        """
        loop = asyncio.get_running_loop()
        asking = self._asking.get((loop, event))
        if asking is None:
            asking = loop.create_task(self._learn(event), name="choreo registry")
            self._asking[loop, event] = asking
            asking.add_done_callback(lambda done: self._asked(loop, event, done))
        # Shielded: one who gives up takes the answer from nobody else.
        await asyncio.shield(asking)

    async def _learn(self, event: type[Event]) -> None:
        async with formats(self._settings, self._environment, [event], hasty=True) as found:
            self._encoders[event] = found.encoder(event)

    def _asked(
        self, loop: asyncio.AbstractEventLoop, event: type[Event], done: "asyncio.Task[None]"
    ) -> None:
        del self._asking[loop, event]
        if not done.cancelled():
            done.exception()  # whoever waited for it has been told


_: type[Codec] = OccasionalCodec
