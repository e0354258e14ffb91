"""What became of every record that the shop sent, and whether the books balance."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from choreo.delivery.job import Outcome
from choreo.testing import Harness
from examples.order_fulfilment.events import (
    OrderCancelled,
    OrderShipped,
    PaymentRefunded,
    PaymentTaken,
    StockReleased,
    StockReserved,
)
from examples.order_fulfilment.services.order import accept


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Counts of one run; each record that was fed ended in exactly one of *ends*."""

    fed: int
    ends: Mapping[str, int]
    paid: int
    refunded: int
    reserved: int
    released: int

    @property
    def problems(self) -> list[str]:
        """Say which laws of conservation are broken; empty when all hold."""
        shipped = self.ends["shipped"]
        laws = {
            f"{self.fed} records were fed, {sum(self.ends.values())} are accounted for": (
                self.fed == sum(self.ends.values())
            ),
            f"{self.paid} paid ≠ {shipped} shipped + {self.refunded} refunded": (
                self.paid == shipped + self.refunded
            ),
            f"{self.reserved} reserved ≠ {shipped} shipped + {self.released} released": (
                self.reserved == shipped + self.released
            ),
        }
        return [law for law, holds in laws.items() if not holds]


def outcomes(world: Harness, fed: int) -> Outcomes:
    """Count how the orders in *world* ended."""
    reasons = {event.order_id: event.reason for event in world.published(OrderCancelled)}
    cancelled = Counter(reasons.values())
    return Outcomes(
        fed=fed,
        ends={
            "shipped": len({event.order_id for event in world.published(OrderShipped)}),
            "payment declined": cancelled["payment declined"],
            "out of stock": cancelled["out of stock"],
            "dead-lettered": len({letter.id for letter in world.dead_letters}),
            "duplicates suppressed": world.outcomes(accept)[Outcome.DUPLICATE],
        },
        paid=len({event.order_id for event in world.published(PaymentTaken)}),
        refunded=len({event.order_id for event in world.published(PaymentRefunded)}),
        reserved=len({event.order_id for event in world.published(StockReserved)}),
        released=len({event.order_id for event in world.published(StockReleased)}),
    )
