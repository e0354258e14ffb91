"""Claims held for a while: one owner at a time, and who lost one is told."""

import asyncio

from choreo.store.port import Lease, Verdict
from choreo.testing.contract.bench import check, same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import (
    LONG,
    OTHER_PAYLOAD,
    claim,
    dead,
    done,
    shelf,
)

WRITTEN, DUPLICATE, CONFLICT = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.CONFLICT
BUSY, FENCED = Verdict.BUSY, Verdict.FENCED


class Leases:
    """A lease keeps others away until it ends, is given back, or runs out."""

    async def test_a_leased_event_is_nobody_elses(self, setup: StoreSetup) -> None:
        """Trap I4."""
        async with shelf(setup) as s:
            other = await s.another()
            await s.hold(claim("a"))

            same(await s.state(claim("a")), "claimed", "state")
            same(await other.lease(claim("a"), "two", LONG), BUSY, "second lease")
            same(list(await other.finish([done(claim("a"))])), [BUSY], "end by another")
            async with other.effect(claim("a")) as effect:
                same(effect.verdict, BUSY, "effect of another")

    async def test_the_owner_ends_it_once(self, setup: StoreSetup) -> None:
        """A repeated end, after an answer that was lost, is a duplicate (O12)."""
        async with shelf(setup) as s:
            lease = await s.hold(claim("a"))

            first = await s.finish(done(claim("a"), fence=lease.fence))
            again = await s.finish(done(claim("a"), fence=lease.fence))

            same((list(first), list(again)), ([WRITTEN], [DUPLICATE]), "verdicts")

    async def test_a_lease_may_end_in_the_dead_letters(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lease = await s.hold(claim("a", purpose="pay 7"))

            end = dead(claim("a", purpose="pay 7"), fence=lease.fence)
            same(list(await s.finish(end)), [WRITTEN], "verdict")

            same(await s.state(claim("a")), "dead", "state")
            await s.hold(claim("b", purpose="pay 7"))

    async def test_what_ended_cannot_be_leased(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")), dead(claim("b")))

            verdicts = [
                await s.ledger.lease(wanted, "one", LONG)
                for wanted in (claim("a"), claim("a", payload=OTHER_PAYLOAD), claim("b"))
            ]

            same(verdicts, [DUPLICATE, CONFLICT, DUPLICATE], "verdicts")
            await s.hold(claim("b", generation=1))

    async def test_of_many_who_want_it_one_gets_the_lease(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            ledgers = [s.ledger, *[await s.another() for _ in range(3)]]

            answers = await asyncio.gather(
                *(
                    ledger.lease(claim(str(number)), f"{number} {owner}", LONG)
                    for number in range(5)
                    for owner, ledger in enumerate(ledgers)
                )
            )

            leases = [answer for answer in answers if isinstance(answer, Lease)]
            same(sorted(one.claim.key[2] for one in leases), list("01234"), "leased")
            same(answers.count(BUSY), 15, "busy")

    async def test_who_lost_a_lease_writes_nothing(self, setup: StoreSetup) -> None:
        """Trap I5."""
        async with shelf(setup) as s:
            other = await s.another()
            old = await s.hold(claim("a"), setup.lease)
            await s.lapse()
            new = await other.lease(claim("a"), "two", LONG)
            check(isinstance(new, Lease), f"what had run out was refused: {new}")
            assert isinstance(new, Lease)  # noqa: S101 -- for the type checker, said above

            check(new.fence > old.fence, f"fence {new.fence} after {old.fence}")
            same(list(await s.ledger.renew([old], LONG)), [False], "renewal of the old one")
            await s.ledger.release(old)
            end = done(claim("a"), fence=old.fence)
            same(list(await s.finish(end)), [FENCED], "end by the old owner")
            verdicts = await other.finish([done(claim("a"), fence=new.fence)])
            same(list(verdicts), [WRITTEN], "end by the new owner")
            same(list(await s.finish(end)), [DUPLICATE], "end by the old owner, too late")

    async def test_an_owner_who_is_late_but_alone_still_writes(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lease = await s.hold(claim("a"), setup.lease)
            await s.lapse()

            same(await s.state(claim("a")), "open", "state")
            end = done(claim("a"), fence=lease.fence)
            same(list(await s.finish(end)), [WRITTEN], "verdict")

    async def test_a_fence_without_a_lease_writes_nothing(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            same(list(await s.finish(done(claim("a"), fence=1))), [FENCED], "verdict")
            same(await s.known(claim("a")), None, "known")

    async def test_a_renewed_lease_goes_on(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            first, second = await s.hold(claim("a"), setup.lease), await s.hold(claim("b"))

            kept = await s.ledger.renew([first, second], LONG)
            await s.lapse()

            same(list(kept), [True, True], "renewed")
            same(await s.ledger.lease(claim("a"), "two", LONG), BUSY, "second lease")
            same(list(await s.ledger.renew([], LONG)), [], "renewal of nothing")

    async def test_a_lease_given_back_is_free_at_once(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            first = await s.hold(claim("a", purpose="pay 7"))
            await s.ledger.release(first)
            await s.ledger.release(first)

            same(await s.state(claim("a")), "open", "state")
            end = done(claim("a", purpose="pay 7"), fence=first.fence)
            same(list(await s.finish(end)), [FENCED], "end by who gave it back")
            second = await s.hold(claim("a", purpose="pay 7"))
            check(second.fence > first.fence, f"fence {second.fence} after {first.fence}")

    async def test_a_lease_that_ran_out_counts_as_a_crash(self, setup: StoreSetup) -> None:
        """Trap D7."""
        async with shelf(setup) as s:
            await s.hold(claim("a"), setup.lease)
            await s.lapse()
            before = await s.known(claim("a"))
            await s.hold(claim("a"), setup.lease)
            during = await s.known(claim("a"))
            await s.lapse()
            after = await s.known(claim("a"))

            counted = [known and known.crashes for known in (before, during, after)]
            same(counted, [1, 1, 2], "crashes")

    async def test_a_lease_holds_its_idempotency_key_too(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lease = await s.hold(claim("a", purpose="pay 7"), setup.lease)
            second = claim("b", purpose="pay 7")
            same(await s.ledger.lease(second, "two", LONG), BUSY, "lease of the second")
            same(list(await s.finish(done(second))), [BUSY], "end of the second")
            same(await s.known(second), None, "known of the second")
            same(list(await s.ledger.renew([lease], LONG)), [True], "renewed")
            await s.lapse()
            same(await s.ledger.lease(second, "two", LONG), BUSY, "lease of the second, later")

            verdicts = await s.finish(done(lease.claim, fence=lease.fence), done(second))

            same(list(verdicts), [WRITTEN, DUPLICATE], "verdicts")

    async def test_an_idempotency_key_may_be_taken_over(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            old = await s.hold(claim("a", purpose="pay 7"), setup.lease)
            await s.lapse()
            new = await s.hold(claim("b", purpose="pay 7"))

            verdicts = await s.finish(done(old.claim, fence=old.fence))
            same(list(verdicts), [FENCED], "end of the first")
            verdicts = await s.finish(done(new.claim, fence=new.fence))
            same(list(verdicts), [WRITTEN], "end of the second")
