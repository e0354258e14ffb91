"""A service described without running it: the rows of the start-up table, and their JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from choreo.broker import Broker, Capabilities, open_broker
from choreo.cli.guarantee import guarantee, order
from choreo.errors import ConfigurationError
from choreo.event import event_type
from choreo.plan import Plan
from choreo.retry import Retry
from choreo.service import Service
from choreo.settings import Settings
from choreo.store.opening import open_store
from choreo.store.port import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDescription:
    """When a failed event is tried again; durations in seconds."""

    attempts: int
    initial_seconds: float
    multiplier: float
    maximum_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDescription:
    """One row of the table."""

    handler: str
    event: str
    type: str
    topic: str
    """As the broker knows it: a filter where it has topic levels."""
    emits: Sequence[str]
    order: str
    retry: RetryDescription
    deadline_seconds: float
    guarantee: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescription:
    """One service and its handlers."""

    service: str
    broker: str
    """URL without credentials."""
    store: str | None
    """The same of its store; None if it keeps its books in memory."""
    concurrency: int
    handlers: Sequence[HandlerDescription]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A service with the settings and the broker it would run on, unopened."""

    service: Service
    settings: Settings
    broker: Broker
    store: Store[Any] | None


def subject(service: Service, broker: str | None) -> Subject:
    """Resolve settings and adapter of *service*, with *broker* in place of its URL if given.

    Raises ConfigurationError for wrong settings, or an adapter that is not there.
    """
    settings = service.settings(broker=broker)
    given = service.broker
    if given is None or isinstance(given, str):
        adapter = open_broker(settings.broker)
        return Subject(service=service, settings=settings, broker=adapter, store=_store(service))
    if broker is not None:
        raise ConfigurationError(
            f"service {service.name} brings its own broker object ({given.url}): "
            "--broker cannot replace it"
        )
    return Subject(service=service, settings=settings, broker=given, store=_store(service))


def describe(subject: Subject) -> ServiceDescription:
    """Describe every handler of a service as it would run."""
    capabilities = subject.broker.capabilities
    return ServiceDescription(
        service=subject.service.name,
        broker=subject.broker.url,
        store=None if subject.store is None else subject.store.url,
        concurrency=subject.settings.concurrency,
        handlers=[_handler(plan, subject, capabilities) for plan in subject.service.plans],
    )


def as_json(descriptions: Sequence[ServiceDescription]) -> dict[str, object]:
    """Return the object that ``--json`` prints."""
    return {"services": [asdict(description) for description in descriptions]}


def _store(service: Service) -> Store[Any] | None:
    """Make the store that *service* would use, unopened."""
    given = service.store
    if given is not None and not isinstance(given, str):
        return given
    url = service.settings().store
    return None if url is None else open_store(url)


def _handler(plan: Plan, subject: Subject, capabilities: Capabilities) -> HandlerDescription:
    declared, settings, service = event_type(plan.event), subject.settings, subject.service
    return HandlerDescription(
        handler=plan.id,
        event=plan.event.__name__,
        type=declared.type,
        topic=declared.topic.filter if capabilities.topic_levels else declared.topic.flat,
        emits=sorted(event_type(event).type for event in plan.emits),
        order=order(capabilities, declared, settings),
        retry=_retry(plan.options.retry or service.retry),
        deadline_seconds=(plan.options.deadline or settings.deadline).total_seconds(),
        guarantee=guarantee(capabilities, plan, declared, settings, subject.store),
        where=plan.where,
    )


def _retry(retry: Retry) -> RetryDescription:
    return RetryDescription(
        attempts=retry.attempts,
        initial_seconds=retry.initial.total_seconds(),
        multiplier=retry.multiplier,
        maximum_seconds=retry.maximum.total_seconds(),
    )
