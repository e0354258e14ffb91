"""A service put together for one broker: routes, encoders, topics, checked before it runs."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from choreo.broker import Capabilities, Subscription, TopicFilter, TopicSpec
from choreo.cloudevents import EnvelopeReader, EnvelopeWriter
from choreo.codec.choice import Codecs
from choreo.codec.json import JsonCodec
from choreo.dead_letter import dead_letter_topic
from choreo.delivery.books import Books
from choreo.delivery.intake import Intake, Policies
from choreo.delivery.job import Composed, Handler
from choreo.delivery.numbering import number_reader
from choreo.delivery.outgoing import Outgoing
from choreo.delivery.pipeline import Parts, compose
from choreo.delivery.replays import Replays
from choreo.delivery.tracing import Tracer
from choreo.envelope import Envelope
from choreo.environment import Environment
from choreo.errors import ConfigurationError
from choreo.event import Event, Newer, event_type
from choreo.observer import observer
from choreo.plan import Plan
from choreo.replay import replay_filter, replay_topic
from choreo.resend import RESEND_TOPIC, ResendRequested
from choreo.retry import Retry
from choreo.routes import Newcomers, NewerRoutes, routes
from choreo.sequences import gaps_of, park_of, resends
from choreo.service import Service
from choreo.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What one service needs to run on one broker."""

    intake: Intake
    outgoing: Outgoing
    handlers: Sequence[Handler]
    subscription: Subscription | None
    """None for a service that only publishes."""
    topics: Sequence[TopicSpec]
    formats: Codecs

    @property
    def repeating(self) -> Sequence[str]:
        """Name the topics from which an event may be handed over again, or a letter replayed."""
        if self.subscription is None:
            return ()
        read = {topic.name for topic in self.subscription.topics}
        read.add(dead_letter_topic(self.subscription.group))
        return [topic.name for topic in self.topics if topic.name in read]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a service is put together on."""

    capabilities: Capabilities
    settings: Settings
    environment: Environment
    threads: Executor
    tracer: Tracer | None = None
    formats: Codecs | None = None
    """The payload formats, where they are not those that the settings alone tell."""


def assemble(
    service: Service[Any],
    ground: Ground,
    provided: Mapping[type[object], object],
    keep: Callable[[Outgoing], Books],
) -> Assembly:
    """Put *service* together; raise ConfigurationError for whatever could not work.

    *keep* opens the books, given what writes this service's events.
    """
    settings, capabilities = ground.settings, ground.capabilities
    formats = ground.formats or codecs(settings)
    outgoing = _outgoing(service, ground, formats)
    parts = Parts(
        service=service.name,
        outgoing=outgoing,
        books=keep(outgoing),
        middlewares=service.middleware,
        threads=ground.threads,
        tracer=ground.tracer,
    )
    decoders = [formats.decoder(plan.event) for plan in service.plans]
    composed = map(partial(_composed, provided=provided, parts=parts), service.plans, decoders)
    handlers = [
        _handler(index, service.plans[index], ground, service.retry, formats, each)
        for index, each in enumerate(composed)
    ]
    newer = NewerRoutes(handlers, settings.newer, _variant(formats, settings, provided, parts))
    return Assembly(
        intake=_intake(service, ground, handlers, newer),
        outgoing=outgoing,
        handlers=handlers,
        subscription=_subscription(service, settings, capabilities),
        topics=_topics(service, settings, capabilities),
        formats=formats,
    )


def _composed(
    plan: Plan,
    decode: Callable[[Envelope], Event],
    provided: Mapping[type[object], object],
    parts: Parts,
) -> Composed:
    decode = _observed(plan, decode, parts.service)
    return compose(plan, decode, _arguments(plan, provided), parts)


def _observed(
    plan: Plan, decode: Callable[[Envelope], Event], service: str
) -> Callable[[Envelope], Event]:
    """Have whoever looks on told of each event; where nobody does it costs nothing."""
    onlooker = observer.get()
    if onlooker is None:
        return decode

    def observed(envelope: Envelope) -> Event:
        event = decode(envelope)
        onlooker.handed(service, plan, event)
        return event

    return observed


def _handler(
    index: int, plan: Plan, ground: Ground, retry: Retry, formats: Codecs, composed: Composed
) -> Handler:
    settings, declared = ground.settings, event_type(plan.event)
    gaps = gaps_of(plan, settings)
    return Handler(
        plan=plan,
        index=index,
        retry=plan.options.retry or retry,
        deadline=plan.options.deadline or settings.deadline,
        process=composed.process,
        brief=composed.brief,
        gaps=gaps,
        number=None if gaps is None else number_reader(plan.event, formats.decoder(plan.event)),
        park=park_of(plan),
        apart=gaps is not None and (declared.sequence is None or declared.key is None),
    )


def codecs(settings: Settings) -> Codecs:
    """Build the payload formats: what the settings name is written, all that can be are read.

    Raises ConfigurationError for a committed contract that is no schema.
    """
    json = JsonCodec()
    if settings.codec == "json" and not any(settings.schemas.rglob("*.avsc")):
        return Codecs(json)
    from choreo.codec.avro import AvroCodec, SchemaFolder  # noqa: PLC0415 -- fastavro when used

    folder = SchemaFolder(settings.schemas)
    folder.load()
    avro = AvroCodec(folder)
    return Codecs(avro, json) if settings.codec == "avro" else Codecs(json, avro)


def _variant(
    formats: Codecs, settings: Settings, provided: Mapping[type[object], object], parts: Parts
) -> Callable[[Sequence[Handler], Newer], Newcomers]:
    """Compose what makes of an event's handlers those that take newer versions of it."""

    def variant(handlers: Sequence[Handler], policy: Newer) -> Newcomers:
        from choreo.codec.newer import NewerReader  # noqa: PLC0415 -- fastavro when used
        from choreo.codec.schema_folder import SchemaFolder  # noqa: PLC0415 -- as above

        event = handlers[0].plan.event
        folder = SchemaFolder(settings.schemas)
        reader = NewerReader(event, formats.decoder(event), folder, policy)
        composed = [_composed(one.plan, reader.read, provided, parts) for one in handlers]
        ways = [
            replace(one, process=each.process, brief=each.brief)
            for one, each in zip(handlers, composed, strict=True)
        ]
        return Newcomers(ways, reader.admit)

    return variant


def _intake(
    service: Service[Any], ground: Ground, handlers: Sequence[Handler], newer: NewerRoutes
) -> Intake:
    """Compose what tells deliveries apart: those of producers, and those of the desk."""
    settings, clock = ground.settings, ground.environment.clock
    binding = ground.capabilities.binding
    return Intake(
        EnvelopeReader(binding, [plan.event for plan in service.plans], clock=clock),
        routes(handlers),
        Policies(foreign=settings.foreign, max_hops=settings.max_hops, order=settings.order),
        binding,
        clock,
        Replays(service.name, ground.capabilities) if settings.replays else None,
        newer,
    )


def _outgoing(service: Service[Any], ground: Ground, formats: Codecs) -> Outgoing:
    """Compose the encoders of all that is emitted: what cannot be written stops the start."""
    outgoing = Outgoing(
        source=f"urn:choreo:{service.name}",
        writer=EnvelopeWriter(ground.capabilities.binding),
        codec=formats,
        clock=ground.environment.clock,
        capabilities=ground.capabilities,
        tracer=ground.tracer,
    )
    for plan in service.plans:
        for event in plan.emits:
            outgoing.prepare(event)
    if resends(service.plans):
        outgoing.prepare(ResendRequested)
    return outgoing


def _arguments(plan: Plan, provided: Mapping[type[object], object]) -> dict[str, object]:
    arguments: dict[str, object] = {}
    for name, kind in plan.needs.items():
        if kind in provided:
            arguments[name] = provided[kind]
        elif name not in plan.optional:
            raise ConfigurationError(
                f"handler {plan.id} ({plan.where}) needs {name}: {kind.__name__}, which nobody "
                f"provides: call service.provide({kind.__name__}, …)"
            )
    return arguments


def _subscription(
    service: Service[Any], settings: Settings, capabilities: Capabilities
) -> Subscription | None:
    filters: dict[str, bool] = {}
    for plan in service.plans:
        declared = event_type(plan.event)
        name = declared.topic.filter if capabilities.topic_levels else declared.topic.flat
        filters[name] = filters.get(name, False) or (declared.retain and capabilities.retained)
    if not filters:
        return None
    topics = [TopicFilter(name, retained) for name, retained in filters.items()]
    if settings.replays:
        topics.append(replay_filter(service.name, capabilities))
    return Subscription(
        group=service.name,
        topics=tuple(topics),
        start=settings.start,
        max_span=settings.max_span,
        drain=settings.drain,
    )


def _topics(
    service: Service[Any], settings: Settings, capabilities: Capabilities
) -> list[TopicSpec]:
    """List what must exist on the broker: what is read, what is emitted, and the dead letters."""
    if capabilities.topic_levels:
        return []
    events = {plan.event for plan in service.plans}
    events.update(event for plan in service.plans for event in plan.emits)
    if resends(service.plans):
        events.add(ResendRequested)
    names = sorted({event_type(event).topic.flat for event in events})
    # A broker that forgets everything with its process has no operator who could have made them.
    create = settings.create_topics or not capabilities.durable
    specs = [
        # The topic of requests is everybody's, whatever partitions each wants for its own.
        TopicSpec(
            name=name,
            create=create,
            partitions=None if name == RESEND_TOPIC else settings.partitions,
        )
        for name in names
    ]
    if service.plans:
        ours = [dead_letter_topic(service.name)]
        if settings.replays:
            ours.append(replay_topic(service.name))
        specs += [TopicSpec(name=name, create=True, partitions=1) for name in ours]
    return specs
