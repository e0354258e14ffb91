"""payment: charges cards, and gives the money back for what cannot be delivered."""

from datetime import timedelta
from uuid import UUID

from choreo import Context, Retry, RetryLater, Service
from examples.order_fulfilment.bank import Bank, CardDeclined
from examples.order_fulfilment.events import (
    OrderPlaced,
    OutOfStock,
    PaymentDeclined,
    PaymentRefunded,
    PaymentTaken,
)

SOON = timedelta(milliseconds=50)


class Ledger(dict[UUID, str | None]):
    """The receipt of each order that was charged, None where the card was declined."""


payment = Service("payment", owner="money")
payment.provide(Bank, Bank)
payment.provide(Ledger, Ledger)


@payment.on(OrderPlaced, retry=Retry(attempts=5, initial=SOON))
async def charge(
    order: OrderPlaced, ctx: Context, bank: Bank, ledger: Ledger
) -> PaymentTaken | PaymentDeclined:
    """Charge the card; the key makes sure that another attempt does not charge it again."""
    try:
        receipt = await bank.charge(order.card, order.total, ctx.idempotency_key("charge"))
    except CardDeclined as refusal:
        ledger[order.order_id] = None
        return PaymentDeclined(order_id=order.order_id, reason=str(refusal))
    ledger[order.order_id] = receipt
    return PaymentTaken(order_id=order.order_id, amount=order.total, receipt=receipt)


@payment.on(OutOfStock, retry=Retry(attempts=100))
async def refund(missing: OutOfStock, bank: Bank, ledger: Ledger) -> PaymentRefunded | None:
    """Give back what was taken, once it is known whether anything was."""
    if missing.order_id not in ledger:
        raise RetryLater(SOON, "the card is not charged yet")
    receipt = ledger[missing.order_id]
    if receipt is None:
        return None
    await bank.refund(receipt)
    return PaymentRefunded(order_id=missing.order_id, receipt=receipt)
