"""Failed attempts are remembered over a restart, and ended events are not disturbed."""

from dataclasses import replace
from datetime import timedelta

from choreo.store.port import Attempt, Claim, Verdict
from choreo.testing.contract.bench import same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import START, claim, dead, done, shelf

WRITTEN, DUPLICATE, BUSY = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.BUSY


def failed(wanted: Claim, attempts: int, *, minute: int = 1) -> Attempt:
    """Make the failure of an attempt whose first was in that *minute*."""
    first = START + timedelta(minutes=minute, microseconds=7)
    return Attempt(claim=wanted, attempts=attempts, first_failed=first)


class Attempts:
    """The books know how often an event has failed."""

    async def test_attempts_are_known_to_every_process(self, setup: StoreSetup) -> None:
        """Trap D13."""
        async with shelf(setup) as s:
            other = await s.another()

            await s.ledger.note(
                [failed(claim("a"), 2), failed(claim("b"), 1), failed(claim("c"), 9)]
            )

            known = (await other.recall([claim("a").key]))[claim("a").key]
            same((known.state.value, known.attempts, known.crashes), ("open", 2, 0), "known")
            same(known.first_failed, START + timedelta(minutes=1, microseconds=7), "first failed")

    async def test_the_most_attempts_and_the_first_failure_count(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.ledger.note([failed(claim("a"), 1, minute=1)])
            await s.ledger.note([failed(claim("a"), 3, minute=3), failed(claim("a"), 2, minute=3)])
            await s.ledger.note([failed(claim("a"), 2, minute=4)])

            known = await s.known(claim("a"))

            same(known and known.attempts, 3, "attempts")
            expected = START + timedelta(minutes=1, microseconds=7)
            same(known and known.first_failed, expected, "first failed")

    async def test_an_event_that_failed_may_still_end(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.ledger.note([failed(claim("a"), 1), failed(claim("b", purpose="pay 7"), 1)])

            verdicts = await s.finish(done(claim("a")), done(claim("b", purpose="pay 7")))

            same(list(verdicts), [WRITTEN] * 2, "verdicts")
            same(await s.state(claim("a")), "done", "state")

    async def test_an_event_that_failed_may_still_have_its_effect(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.ledger.note([failed(claim("a"), 1)])

            async with s.ledger.effect(claim("a")) as effect:
                same(effect.verdict, WRITTEN, "verdict of the claim")
                same(await effect.complete(done(claim("a"))), WRITTEN, "verdict of the end")

            same(await s.state(claim("a")), "done", "state")

    async def test_a_late_note_does_not_open_what_ended(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")), dead(claim("b")))

            await s.ledger.note([failed(claim("a"), 2), failed(claim("b"), 2)])
            await s.ledger.note([failed(claim("a", generation=1), 2)])

            same([await s.state(claim(each)) for each in "ab"], ["done", "dead"], "states")
            verdicts = await s.finish(done(claim("a")), done(claim("b")))
            same(list(verdicts), [DUPLICATE] * 2, "verdicts")

    async def test_a_replay_counts_its_attempts_anew(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.ledger.note([failed(claim("a"), 5)])
            await s.finish(dead(claim("a")))

            await s.ledger.note([failed(claim("a", generation=1), 1, minute=9)])

            known = await s.known(claim("a"))
            same(
                known and (known.state.value, known.generation, known.attempts), ("open", 1, 1), ""
            )
            expected = START + timedelta(minutes=9, microseconds=7)
            same(known and known.first_failed, expected, "first failed")
            verdicts = await s.finish(done(claim("a")), done(claim("a", generation=1)))
            same(list(verdicts), [DUPLICATE, WRITTEN], "of the original, and of the replay")

    async def test_an_attempt_that_is_taken_back_counts_no_more(self, setup: StoreSetup) -> None:
        """Trap D11: an outage that is found out in every life of a process uses none up."""
        async with shelf(setup) as s:
            await s.ledger.note([failed(claim("a"), 2)])
            await s.finish(done(claim("b")))

            back = [failed(claim(each), 0) for each in "abc"]
            await s.ledger.note([replace(each, taken_back=True) for each in back])

            known = await s.known(claim("a"))
            same(known and (known.state.value, known.attempts), ("open", 1), "known")
            states = [await s.state(claim(each)) for each in "bc"]
            same(states, ["done", "unknown"], "states")

    async def test_a_replay_by_force_that_fails_opens_what_was_done(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")))
            wanted = replace(claim("a", generation=1), forced=True)

            await s.ledger.note([failed(wanted, 1), failed(claim("b"), 1)])

            known = await s.known(wanted)
            same(
                known and (known.state.value, known.generation, known.attempts), ("open", 1, 1), ""
            )
            verdicts = await s.finish(done(claim("a")), done(claim("a", generation=1)))
            same(list(verdicts), [DUPLICATE, WRITTEN], "of the original, and of the replay")

    async def test_a_note_leaves_a_lease_whose_it_is(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lease = await s.hold(claim("a"))

            await s.ledger.note([failed(claim("a"), 1)])

            same(await s.ledger.lease(claim("a"), "two", setup.lease), BUSY, "second lease")
            verdicts = await s.finish(done(claim("a"), fence=lease.fence))
            same(list(verdicts), [WRITTEN], "verdict of the owner")

    async def test_no_attempts_are_no_work(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.ledger.note([])
