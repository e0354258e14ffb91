"""What ended long ago is forgotten, and nothing else."""

from dataclasses import replace
from datetime import timedelta

from choreo.store.port import Claim, Verdict
from choreo.testing.contract.bench import same
from choreo.testing.contract.stores.attempts import failed
from choreo.testing.contract.stores.lots import LEASE, NOW, parking
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import START, claim, dead, done, shelf


def on_day(day: int, wanted: Claim) -> Claim:
    """Let *wanted* be made on that day."""
    return replace(wanted, at=START + timedelta(days=day))


class Retention:
    """Old ends go, a batch at a time (traps I7 and O8)."""

    async def test_only_what_ended_before_is_forgotten(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            young, old = on_day(9, claim("young")), on_day(1, claim("old"))
            await s.finish(done(young), done(old), dead(on_day(1, claim("dead"))))

            count = await s.ledger.expire(START + timedelta(days=5), 100)

            same(count, 2, "forgotten")
            states = [await s.state(claim(name)) for name in ("young", "old", "dead")]
            same(states, ["done", "unknown", "unknown"], "states")
            same(list(await s.finish(done(old))), [Verdict.WRITTEN], "verdict of the forgotten")

    async def test_what_has_not_ended_is_never_forgotten(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.hold(claim("leased"))
            await s.ledger.note([failed(claim("failed"), 3)])
            await s.finish(dead(claim("replayed")))
            await s.ledger.note([failed(claim("replayed", generation=1), 1)])

            count = await s.ledger.expire(START + timedelta(days=5000), 100)

            same(count, 0, "forgotten")
            states = [await s.state(claim(name)) for name in ("leased", "failed", "replayed")]
            same(states, ["claimed", "open", "open"], "states")

    async def test_what_has_a_copy_in_the_lot_is_remembered_until_that_has_left(
        self, setup: StoreSetup
    ) -> None:
        """A line may be held for longer than anything is remembered."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            copied, other = claim("event-2"), claim("event-2", handler=1)
            await lot.park(parking(1), [parking(2)], NOW)
            await s.finish(done(copied), done(other))

            first = await s.ledger.expire(START + timedelta(days=1), 10)
            states = [await s.state(copied), await s.state(other)]
            (line,) = await lot.take(10, LEASE)
            for parked in await lot.first(line, 10):
                await lot.leave(parked.ticket)
            second = await s.ledger.expire(START + timedelta(days=1), 10)

            same([first, second], [1, 1], "forgotten")
            same(states, ["done", "unknown"], "states")

    async def test_no_more_are_forgotten_than_the_limit(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(*(done(claim(str(number), handler=number % 2)) for number in range(25)))

            counts = [await s.ledger.expire(START + timedelta(days=1), 10) for _ in range(4)]

            same(counts, [10, 10, 5, 0], "forgotten")

    async def test_an_idempotency_key_is_forgotten_too(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a", purpose="pay 7")))

            while await s.ledger.expire(START + timedelta(days=1), 10):
                pass

            verdicts = await s.finish(done(claim("b", purpose="pay 7")))
            same(list(verdicts), [Verdict.WRITTEN], "verdict")

    async def test_another_services_books_are_left_alone(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            other = await s.another(service=setup.name())
            await s.finish(done(claim("a")))

            same(await other.expire(START + timedelta(days=1), 10), 0, "forgotten")

            same(await s.state(claim("a")), "done", "state")
