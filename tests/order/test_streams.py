"""Positions of numbered streams in every store (R3, R13)."""

from datetime import UTC, datetime, timedelta

from choreo.store.port import Claim, End, Ledger, State, Verdict
from choreo.store.streams import NOT_BEGUN, Advance, Position, StreamKey

STREAM: StreamKey = (0, "urn:source", "a")


def step(
    expected: int, following: int, *, epoch: int = 0, skipped: int = 0, key: StreamKey = STREAM
) -> Advance:
    handler, source, stream = key
    return Advance(
        handler=handler, source=source, stream=stream,
        epoch=epoch, expected=expected, next=following, skipped=skipped,
    )  # fmt: skip


async def test_a_stream_moves_only_from_where_it_stands(ledger: Ledger[object]) -> None:
    streams = ledger.order.streams

    assert await streams.positions([STREAM]) == {}
    assert await streams.move([step(2, 3)]) == [False]
    assert await streams.move([step(NOT_BEGUN, 2)]) == [True]
    assert await streams.move([step(NOT_BEGUN, 2)]) == [False]
    assert await streams.move([step(1, 2)]) == [False]
    assert await streams.move([step(2, 3)]) == [True]
    assert await streams.positions([STREAM, (1, "urn:source", "a")]) == {STREAM: Position(0, 3)}


async def test_several_steps_of_several_streams_move_together(ledger: Ledger[object]) -> None:
    other: StreamKey = (1, "urn:source", "ü" * 300)
    steps = [
        step(NOT_BEGUN, 2),
        step(NOT_BEGUN, 2, key=other),
        step(2, 3),
        step(NOT_BEGUN, 2, epoch=7),
        step(2, 3, epoch=7),
    ]

    assert await ledger.order.streams.move(steps) == [True] * 5
    assert await ledger.order.streams.positions([other, STREAM]) == {
        STREAM: Position(7, 3),
        other: Position(0, 2),
    }


async def test_a_new_epoch_begins_once_and_the_old_one_is_over(ledger: Ledger[object]) -> None:
    """R4."""
    streams = ledger.order.streams
    await streams.move([step(NOT_BEGUN, 9)])

    assert await streams.move([step(9, 10, epoch=1)]) == [False]
    assert await streams.move([step(NOT_BEGUN, 2, epoch=1)]) == [True]
    assert await streams.move([step(NOT_BEGUN, 2, epoch=1)]) == [False]
    assert await streams.move([step(9, 10)]) == [False]
    assert await streams.positions([STREAM]) == {STREAM: Position(1, 2)}


async def test_what_is_given_up_is_kept_as_a_fact(ledger: Ledger[object]) -> None:
    """R1."""
    streams = ledger.order.streams
    await streams.move([step(NOT_BEGUN, 2)])
    await streams.move([step(2, 6, skipped=3)])
    await streams.move([step(2, 9, skipped=3)])

    (skip,) = await streams.skips(10)

    assert (skip.handler, skip.source, skip.stream) == STREAM
    assert (skip.epoch, skip.first, skip.last) == (0, 2, 4)
    assert abs((skip.at - datetime.now(UTC)).total_seconds()) < 60


async def test_what_was_given_up_is_forgotten_with_the_ends_of_its_time(
    ledger: Ledger[object],
) -> None:
    """O8: the record does not grow for ever."""
    streams = ledger.order.streams
    await streams.move([step(NOT_BEGUN, 2)])
    for number in range(2, 20, 3):
        await streams.move([step(number, number + 3, skipped=2)])
    assert len(await streams.skips(10)) == 6
    now = datetime.now(UTC)

    assert await ledger.expire(now - timedelta(hours=1), 100) == 0
    assert await ledger.expire(now + timedelta(hours=1), 4) == 4
    assert await ledger.expire(now + timedelta(hours=1), 4) == 2

    assert await streams.skips(10) == []
    assert await streams.positions([STREAM]) == {STREAM: Position(0, 20)}


async def test_an_end_is_written_with_its_step_or_not_at_all(ledger: Ledger[object]) -> None:
    """R3: the position and the inbox agree, whatever happens."""

    def end(number: int, advance: Advance) -> End:
        claim = Claim(
            key=(0, "urn:source", f"event-{number}"), fingerprint=b"f" * 16, at=datetime.now(UTC)
        )
        return End(claim=claim, advance=advance)

    ends = [end(1, step(NOT_BEGUN, 2)), end(2, step(2, 3)), end(9, step(5, 10))]

    assert await ledger.finish(ends) == [Verdict.WRITTEN, Verdict.WRITTEN, Verdict.MOVED]
    known = await ledger.recall([one.claim.key for one in ends])
    assert {key[2]: one.state for key, one in known.items()} == {
        "event-1": State.DONE,
        "event-2": State.DONE,
    }
    assert await ledger.order.streams.positions([STREAM]) == {STREAM: Position(0, 3)}
