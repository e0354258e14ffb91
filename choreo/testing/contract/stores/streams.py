"""How far numbered streams have come: each step once, from where the stream stands (R3, R13)."""

from datetime import timedelta

from choreo.store.port import End, State, Verdict
from choreo.store.streams import NOT_BEGUN, Advance, Position, StreamKey
from choreo.testing.contract.bench import check, same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import SOURCE, claim, shelf

STREAM: StreamKey = (0, SOURCE, "a")


def step(
    expected: int, following: int, *, epoch: int = 0, skipped: int = 0, key: StreamKey = STREAM
) -> Advance:
    """Make a step of a stream."""
    handler, source, stream = key
    return Advance(
        handler=handler, source=source, stream=stream,
        epoch=epoch, expected=expected, next=following, skipped=skipped,
    )  # fmt: skip


class Streams:
    """Positions move by compare-and-set, and what is given up is on record."""

    async def test_a_stream_moves_only_from_where_it_stands(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            streams = s.ledger.order.streams

            same(await streams.positions([STREAM]), {}, "streams.positions([STREAM])")
            same(await streams.move([step(2, 3)]), [False], "streams.move([step(2, 3)])")
            same(
                await streams.move([step(NOT_BEGUN, 2)]),
                [True],
                "streams.move([step(NOT_BEGUN, 2)])",
            )
            same(
                await streams.move([step(NOT_BEGUN, 2)]),
                [False],
                "streams.move([step(NOT_BEGUN, 2)])",
            )
            same(await streams.move([step(1, 2)]), [False], "streams.move([step(1, 2)])")
            same(await streams.move([step(2, 3)]), [True], "streams.move([step(2, 3)])")
            same(
                await streams.positions([STREAM, (1, SOURCE, "a")]),
                {STREAM: Position(0, 3)},
                "streams.positions([STREAM, (1, 'urn:source', 'a')])",
            )

    async def test_several_steps_of_several_streams_move_together(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            other: StreamKey = (1, SOURCE, "ü" * 300)
            steps = [
                step(NOT_BEGUN, 2),
                step(NOT_BEGUN, 2, key=other),
                step(2, 3),
                step(NOT_BEGUN, 2, epoch=7),
                step(2, 3, epoch=7),
            ]

            same(
                await s.ledger.order.streams.move(steps),
                [True] * 5,
                "s.ledger.order.streams.move(steps)",
            )
            same(
                await s.ledger.order.streams.positions([other, STREAM]),
                {
                    STREAM: Position(7, 3),
                    other: Position(0, 2),
                },
                "s.ledger.order.streams.positions([other, STREAM])",
            )

    async def test_a_new_epoch_begins_once_and_the_old_one_is_over(self, setup: StoreSetup) -> None:
        """R4."""
        async with shelf(setup) as s:
            streams = s.ledger.order.streams
            await streams.move([step(NOT_BEGUN, 9)])

            same(
                await streams.move([step(9, 10, epoch=1)]),
                [False],
                "streams.move([step(9, 10, epoch=1)])",
            )
            same(
                await streams.move([step(NOT_BEGUN, 2, epoch=1)]),
                [True],
                "streams.move([step(NOT_BEGUN, 2, epoch=1)])",
            )
            same(
                await streams.move([step(NOT_BEGUN, 2, epoch=1)]),
                [False],
                "streams.move([step(NOT_BEGUN, 2, epoch=1)])",
            )
            same(await streams.move([step(9, 10)]), [False], "streams.move([step(9, 10)])")
            same(
                await streams.positions([STREAM]),
                {STREAM: Position(1, 2)},
                "streams.positions([STREAM])",
            )

    async def test_what_is_given_up_is_kept_as_a_fact(self, setup: StoreSetup) -> None:
        """R1."""
        async with shelf(setup) as s:
            streams = s.ledger.order.streams
            await streams.move([step(NOT_BEGUN, 2)])
            await streams.move([step(2, 6, skipped=3)])
            await streams.move([step(2, 9, skipped=3)])

            (skip,) = await streams.skips(10)

            same(
                (skip.handler, skip.source, skip.stream),
                STREAM,
                "(skip.handler, skip.source, skip.stream)",
            )
            same(
                (skip.epoch, skip.first, skip.last),
                (0, 2, 4),
                "(skip.epoch, skip.first, skip.last)",
            )
            check(skip.at.utcoffset() is not None, f"expected an aware time, not {skip.at}")

    async def test_what_was_given_up_is_forgotten_with_the_ends_of_its_time(
        self, setup: StoreSetup
    ) -> None:
        """O8: the record does not grow for ever."""
        async with shelf(setup) as s:
            streams = s.ledger.order.streams
            await streams.move([step(NOT_BEGUN, 2)])
            for number in range(2, 20, 3):
                await streams.move([step(number, number + 3, skipped=2)])
            same(len(await streams.skips(10)), 6, "len(streams.skips(10))")
            now = (await streams.skips(1))[0].at  # by the clock of the store
            hour = timedelta(hours=1)

            early = await s.ledger.expire(now - hour, 100)
            counts = [await s.ledger.expire(now + hour, 4) for _ in range(3)]

            same((early, counts), (0, [4, 2, 0]), "records forgotten")
            same(await streams.skips(10), [], "streams.skips(10)")
            same(
                await streams.positions([STREAM]),
                {STREAM: Position(0, 20)},
                "streams.positions([STREAM])",
            )

    async def test_an_end_is_written_with_its_step_or_not_at_all(self, setup: StoreSetup) -> None:
        """R3: the position and the inbox agree, whatever happens."""
        async with shelf(setup) as s:

            def end(number: int, advance: Advance) -> End:
                return End(claim=claim(f"event-{number}"), advance=advance)

            ends = [end(1, step(NOT_BEGUN, 2)), end(2, step(2, 3)), end(9, step(5, 10))]

            same(
                await s.ledger.finish(ends),
                [Verdict.WRITTEN, Verdict.WRITTEN, Verdict.MOVED],
                "s.ledger.finish(ends)",
            )
            known = await s.ledger.recall([one.claim.key for one in ends])
            same(
                {key[2]: one.state for key, one in known.items()},
                {
                    "event-1": State.DONE,
                    "event-2": State.DONE,
                },
                "{key[2]: one.state for key, one in known.items()}",
            )
            same(
                await s.ledger.order.streams.positions([STREAM]),
                {STREAM: Position(0, 3)},
                "s.ledger.order.streams.positions([STREAM])",
            )
