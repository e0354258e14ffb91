"""Five services that fulfil orders together, and nobody who conducts them.

    shop ── OrderReceived ─► order ── OrderPlaced ─┬─► payment ──── PaymentTaken ──┐
                                                   └─► inventory ── StockReserved ─┴─► shipping

A declined card or an empty shelf is a fact like any other: inventory lets the goods go when it
hears of PaymentDeclined, payment gives the money back when it hears of OutOfStock, and order
cancels on either.  Notification tells the customer how it ended.
"""
