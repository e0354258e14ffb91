"""What a parked key costs the others: each of its events goes past SQLAlchemy."""

from datetime import timedelta

from choreo.message import Delivery
from choreo.store.lot import Laid, Parking
from choreo_sql import SqlStore
from tests.store.statements import counted

LINE = b"sixteen-bytes-id"
LEASE = timedelta(seconds=30)
NOW = timedelta(0)


def parking(identity: str) -> Parking:
    """Make an event of the line."""
    return Parking(
        line=LINE,
        handler=0,
        source="urn:source",
        id=identity,
        generation=0,
        delivery=Delivery("topic", identity.encode()),
    )


async def test_what_is_said_for_each_event_of_a_parked_key_goes_past_sqlalchemy(url: str) -> None:
    async with SqlStore(url) as store:
        lot = (await store.ledger("shop", ["charge"])).order.lot
        await lot.park(parking("1"), (), NOW)

        with counted() as sent:
            assert await lot.open([LINE]) == {LINE}
            assert await lot.append([parking("2")]) == [Laid.LAID]
            assert await lot.next_due() == NOW
            (line,) = await lot.take(1, LEASE)
            (first,) = await lot.first(line, 1)
            assert await lot.put_off(line, NOW, "failed")

        assert not sent
        assert first.delivery.body == b"1"
        (line,) = await lot.take(1, LEASE)
        assert [one.delivery.body for one in await lot.first(line, 3)] == [b"1", b"2"]
        assert line.attempts == 1
        assert (await lot.lines(1))[0].events == 2
