"""Numbered events of one service: which handlers have them in order, and by what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from choreo.broker import Capabilities
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


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a service's store that keeps order."""

    order: Order
    lasts: bool
    """It outlives the process."""


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


def lot_of(service: Service[Any], kept: Kept | None, capabilities: Capabilities) -> Lot | None:
    """Tell where the service's events are parked; None if no handler parks any.

    Raises ConfigurationError if a handler has some wait there and there is no store, or one that
    would lose them with the process while the broker believes that they are done.
    """
    needy = next(((plan, why) for plan in service.plans if (why := _parks(plan))), None)
    lasting = kept is not None and (kept.lasts or capabilities.in_process)
    if needy is not None and not lasting:
        (plan, why), which = needy, "one" if kept is None else "one that outlives the process"
        raise ConfigurationError(
            f"handler {plan.id} ({plan.where}) parks {why}, which is kept in a store: name "
            f"{which}, as in Service({service.name!r}, store='sqlite:///{service.name}.db')"
        )
    return None if kept is None or needy is None else kept.order.lot


def sequencing(
    service: Service[Any],
    settings: Settings,
    kept: Kept | None,
    capabilities: Capabilities,
    ask: Ask,
) -> Sequencing:
    """Open what puts the service's numbered events in order."""
    wanted = any(gaps_of(plan, settings) is not None for plan in service.plans)
    if kept is None:
        streams = PassingPositions(settings.duplicates_window)
        return Sequencing(streams=streams, room=_room(settings), ask=ask, wanted=wanted)
    parks = any(plan.options.gaps and plan.options.gaps.policy == "park" for plan in service.plans)
    spools = not capabilities.remembers and (kept.lasts or capabilities.in_process)
    return Sequencing(
        streams=kept.order.streams,
        room=_room(settings),
        ask=ask,
        wanted=wanted,
        lot=kept.order.lot if wanted and (spools or parks) else None,
        spools=spools,
    )


def resends(plans: Sequence[Plan]) -> bool:
    """Say whether any handler may ask a source for what is missing."""
    return any(plan.options.gaps and plan.options.gaps.policy == "resend" for plan in plans)


def _parks(plan: Plan) -> str:
    """Tell what of a handler's events waits in the store; empty if nothing has to."""
    if park_of(plan) is not None:
        return "what fails"
    return (
        "what is behind a gap" if plan.options.gaps and plan.options.gaps.policy == "park" else ""
    )


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
