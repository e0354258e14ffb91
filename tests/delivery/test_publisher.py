"""What is handed in unwritten: written together in the publisher's turn, and always told of."""

import asyncio
from collections.abc import Sequence

from choreo.delivery.publisher import Publisher
from choreo.errors import BrokerError, PublishError
from choreo.message import Message
from choreo_memory import MemoryBroker
from tests.patience import patient


class Noting(MemoryBroker):
    """A memory broker that notes what is published by each call, and takes it when it may."""

    def __init__(self, name: str) -> None:
        super().__init__(f"memory://{name}")
        self.calls: list[list[bytes | None]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, messages: Sequence[Message], /) -> None:
        self.calls.append([message.body for message in messages])
        await self.open.wait()
        await super().publish(messages)


class Office:
    """Writes a message a number, but for those that it cannot, and hears of each."""

    def __init__(self, broker: Noting, *bad: int) -> None:
        self.publisher = Publisher(broker)
        self.written: list[int] = []
        self.told: dict[int, BrokerError | None] = {}
        self._bad = bad

    def hand_in(self, *numbers: int) -> None:
        for number in numbers:
            self.publisher.hand_in_unwritten(self._write, self._hear, number)

    def _write(self, number: int) -> Sequence[Message]:
        if number in self._bad:
            raise ValueError("no words")
        self.written.append(number)
        return [Message("letters", b"%d" % number)]

    def _hear(self, number: int, error: BrokerError | None) -> None:
        self.told[number] = error

    async def heard(self, count: int) -> None:
        async with asyncio.timeout(patient(5)):
            while len(self.told) < count:
                await asyncio.sleep(0)


async def busy(broker: Noting, office: Office) -> None:
    """Have the broker be at one message until it is opened."""
    broker.open.clear()
    office.hand_in(1)
    while not broker.calls:
        await asyncio.sleep(0)


async def test_what_is_handed_in_unwritten_is_written_later_and_goes_out_in_one_call() -> None:
    async with Noting("together") as broker:
        office = Office(broker)

        office.hand_in(1, 2)
        office.publisher.hand_in([Message("letters", b"0")], office.told.__setitem__, 0)
        at_once = list(office.written)
        await office.heard(3)

    assert at_once == []
    assert [sorted(call, key=str) for call in broker.calls] == [[b"0", b"1", b"2"]]
    assert office.told == {0: None, 1: None, 2: None}


async def test_what_comes_while_the_broker_is_busy_shares_the_next_call() -> None:
    async with Noting("next") as broker:
        office = Office(broker)
        await busy(broker, office)

        office.hand_in(2, 3)
        broker.open.set()
        await office.heard(3)

    assert broker.calls == [[b"1"], [b"2", b"3"]]
    assert office.told == {1: None, 2: None, 3: None}


async def test_what_cannot_be_written_is_told_of_and_holds_up_nothing() -> None:
    async with Noting("unwritten") as broker:
        office, alone = Office(broker, 2), Office(broker, 7)

        office.hand_in(1, 2, 3)
        alone.hand_in(7)
        await office.heard(3)
        await alone.heard(1)

    assert broker.calls == [[b"1", b"3"]]
    assert (office.told[1], office.told[3]) == (None, None)
    assert isinstance(office.told[2], PublishError)
    assert "no words" in str(alone.told[7])


async def test_what_was_not_written_as_the_publisher_stops_is_told_of() -> None:
    async with Noting("stopped") as broker:
        office = Office(broker)
        await busy(broker, office)

        office.hand_in(2)
        office.publisher.abort()
        await office.heard(2)

    assert office.written == [1]
    assert all(isinstance(error, PublishError) for error in office.told.values())
