"""Numbered events of one service: which handlers have them in order, and by what."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from choreo.delivery.numbered import Gap, Room
from choreo.delivery.outgoing import Outgoing
from choreo.delivery.positions import PassingPositions
from choreo.delivery.publisher import Publisher
from choreo.delivery.sequencing import Ask, Sequencing
from choreo.environment import Environment
from choreo.errors import ConfigurationError
from choreo.event import event_type
from choreo.gaps import IN_ORDER, Gaps
from choreo.park import Park
from choreo.plan import Plan
from choreo.resend import ResendRequested
from choreo.service import Service
from choreo.settings import Settings
from choreo.store.lot import Lot
from choreo.store.order import Order

SHARE = 0.75
"""Of what a worker may hold, how much may wait behind gaps: what fills a gap must get in."""


def gaps_of(plan: Plan, settings: Settings) -> Gaps | None:
    """Tell how a handler's events are put in order; None if they come as they come.

    Raises ConfigurationError for a buffer that cannot fit into what the worker may hold.
    """
    room = _room(settings)
    gaps = plan.options.gaps
    if gaps is None:
        if event_type(plan.event).sequence is None:
            return None
        return replace(
            IN_ORDER, events=min(IN_ORDER.events, room.events), size=min(IN_ORDER.size, room.size)
        )
    if gaps.policy == "ignore":
        return None
    for name, given, fits, option in (
        ("events", gaps.events, room.events, "max_unsettled"),
        ("size", gaps.size, room.size, "max_unsettled_bytes"),
    ):
        if given > fits:
            raise ConfigurationError(
                f"handler {plan.id} ({plan.where}): Gaps({name}={given}) cannot be held within "
                f"{option}: three quarters of that are {fits}; lower one or raise the other"
            )
    return gaps


def park_of(plan: Plan) -> Park | None:
    """Tell how what fails in a handler waits in the store; None if it does not."""
    option = plan.options.on_failure
    if isinstance(option, Park):
        return option
    return Park() if option == "park" else None


def lot_of(service: Service[Any], order: Order | None) -> Lot | None:
    """Tell where the service's failed events wait; None if no handler parks any.

    Raises ConfigurationError if one does and there is no store.
    """
    parking = [plan for plan in service.plans if park_of(plan) is not None]
    if not parking:
        return None
    if order is None:
        raise ConfigurationError(
            f"handler {parking[0].id} ({parking[0].where}) parks what fails, which is kept in a "
            f"store: name one, as in Service({service.name!r}, store='sqlite:///{service.name}.db')"
        )
    return order.lot


def sequencing(
    service: Service[Any], settings: Settings, order: Order | None, ask: Ask
) -> Sequencing:
    """Open what puts the service's numbered events in order."""
    wanted = any(gaps_of(plan, settings) is not None for plan in service.plans)
    streams = PassingPositions(settings.duplicates_window) if order is None else order.streams
    return Sequencing(streams=streams, room=_room(settings), ask=ask, wanted=wanted)


def resends(plans: Sequence[Plan]) -> bool:
    """Say whether any handler may ask a source for what is missing."""
    return any(plan.options.gaps and plan.options.gaps.policy == "resend" for plan in plans)


class Requests:
    """Publishes what a service asks of sources."""

    def __init__(
        self,
        service: Service[Any],
        publisher: Publisher,
        outgoing: Outgoing,
        environment: Environment,
    ) -> None:
        self._service = service
        self._publisher = publisher
        self._outgoing = outgoing
        self._ids = environment.ids

    async def ask(self, gap: Gap) -> None:
        """Ask for what is missing; raise BrokerError if the broker does not take the request."""
        handler, source, stream = gap.stream
        request = ResendRequested(
            service=self._service.name,
            handler=self._service.plans[handler].id,
            source=source,
            stream=stream,
            epoch=gap.epoch,
            first=gap.first,
            last=gap.last,
        )
        await self._publisher.publish(self._outgoing.roots([(self._ids.new(), request)]))


def _room(settings: Settings) -> Room:
    return Room(
        events=max(1, int(settings.max_unsettled * SHARE)),
        size=max(1, int(settings.max_unsettled_bytes * SHARE)),
    )
