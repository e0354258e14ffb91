"""A handler's transaction: its writes, its event's end, or nothing of both."""

import asyncio
from contextlib import suppress

from choreo.store.port import Claim, Ledger, Verdict
from choreo.testing.contract.bench import same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import (
    OTHER_PAYLOAD,
    Shelf,
    claim,
    dead,
    done,
    shelf,
)

WRITTEN, DUPLICATE, CONFLICT = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.CONFLICT


class Failed(Exception):
    """What a handler of the contract raises."""


async def handle(s: Shelf, ledger: Ledger[object], wanted: Claim, text: str) -> Verdict:
    """Do what the framework does with a handler that writes *text*."""
    async with ledger.effect(wanted) as effect:
        if effect.verdict is not WRITTEN:
            return effect.verdict
        await s.setup.write(effect.transaction, text)
        return await effect.complete(done(wanted))


class Effects:
    """What a handler writes and its event's end are one."""

    async def test_a_handlers_writes_are_committed_with_its_events_end(
        self, setup: StoreSetup
    ) -> None:
        """Trap O11."""
        async with shelf(setup) as s:
            verdict = await handle(s, s.ledger, claim("a"), "one")

            same(verdict, WRITTEN, "verdict")
            same(list(await setup.written()), ["one"], "written")
            same(await s.state(claim("a")), "done", "state")
            same(list(await s.finish(done(claim("a")))), [DUPLICATE], "verdict afterwards")

    async def test_leaving_without_completing_rolls_back(self, setup: StoreSetup) -> None:
        """Traps I1 and I2."""
        async with shelf(setup) as s:
            async with s.ledger.effect(claim("a", purpose="pay 7")) as effect:
                await setup.write(effect.transaction, "lost")

            same(list(await setup.written()), [], "written")
            same(await s.known(claim("a")), None, "known")
            verdict = await handle(s, s.ledger, claim("b", purpose="pay 7"), "kept")
            same(verdict, WRITTEN, "verdict of the next")

    async def test_a_handler_that_raises_leaves_nothing(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            for completed in (False, True):
                with suppress(Failed):
                    async with s.ledger.effect(claim("a")) as effect:
                        await setup.write(effect.transaction, "lost")
                        if completed:
                            await effect.complete(done(claim("a")))
                        raise Failed

            same(list(await setup.written()), [], "written")
            same(await s.known(claim("a")), None, "known")
            same(await handle(s, s.ledger, claim("a"), "kept"), WRITTEN, "verdict of the next")
            same(list(await setup.written()), ["kept"], "written at last")

    async def test_a_handler_that_is_cancelled_leaves_nothing(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            began = asyncio.Event()

            async def hang() -> None:
                async with s.ledger.effect(claim("a")) as effect:
                    await setup.write(effect.transaction, "lost")
                    began.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(hang(), name="hang")
            async with asyncio.timeout(setup.patience):
                await began.wait()
                task.cancel()
                await asyncio.wait([task])

                same(await handle(s, s.ledger, claim("a"), "kept"), WRITTEN, "verdict")
            same(list(await setup.written()), ["kept"], "written")

    async def test_what_ended_is_not_handled_again(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")), dead(claim("b")), done(claim("c", purpose="pay 7")))

            verdicts = [
                await handle(s, s.ledger, wanted, "lost")
                for wanted in (
                    claim("a"),
                    claim("a", payload=OTHER_PAYLOAD),
                    claim("b"),
                    claim("d", purpose="pay 7"),
                )
            ]

            same(verdicts, [DUPLICATE, CONFLICT, DUPLICATE, DUPLICATE], "verdicts")
            same(list(await setup.written()), [], "written")

    async def test_a_refused_effect_leaves_nothing(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("c", purpose="pay 7")))

            await handle(s, s.ledger, claim("d", purpose="pay 7"), "lost")

            same(await s.known(claim("d")), None, "known")

    async def test_a_replay_of_a_dead_event_is_handled_in_a_transaction(
        self, setup: StoreSetup
    ) -> None:
        """Trap I12."""
        async with shelf(setup) as s:
            await s.finish(dead(claim("a")))

            first = await handle(s, s.ledger, claim("a", generation=1), "one")
            second = await handle(s, s.ledger, claim("a", generation=1), "two")

            same((first, second), (WRITTEN, DUPLICATE), "verdicts")
            same(list(await setup.written()), ["one"], "written")

    async def test_an_effect_may_end_in_the_dead_letters(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            wanted = claim("a", purpose="pay 7")
            async with s.ledger.effect(wanted) as effect:
                same(await effect.complete(dead(wanted)), WRITTEN, "verdict")

            same(await s.state(wanted), "dead", "state")
            verdict = await handle(s, s.ledger, claim("b", purpose="pay 7"), "kept")
            same(verdict, WRITTEN, "verdict of the next")


class Twins:
    """Two processes with one event."""

    async def test_a_twin_waits_for_the_end_and_is_a_duplicate(self, setup: StoreSetup) -> None:
        """Trap I4."""
        async with shelf(setup) as s:
            other = await s.another()
            async with s.ledger.effect(claim("a")) as effect:
                await setup.write(effect.transaction, "one")
                twin = await s.waiting(handle(s, other, claim("a"), "lost"))
                await effect.complete(done(claim("a")))

            same(await s.ended(twin), DUPLICATE, "verdict of the twin")
            same(list(await setup.written()), ["one"], "written")

    async def test_a_twin_takes_over_from_one_that_failed(self, setup: StoreSetup) -> None:
        """Trap I4."""
        async with shelf(setup) as s:
            other = await s.another()
            async with s.ledger.effect(claim("a")) as effect:
                await setup.write(effect.transaction, "lost")
                twin = await s.waiting(handle(s, other, claim("a"), "one"))

            same(await s.ended(twin), WRITTEN, "verdict of the twin")
            same(list(await setup.written()), ["one"], "written")

    async def test_another_event_with_the_idempotency_key_waits(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            other = await s.another()
            first, second = claim("a", purpose="pay 7"), claim("b", purpose="pay 7")
            async with s.ledger.effect(first) as effect:
                await setup.write(effect.transaction, "one")
                twin = await s.waiting(handle(s, other, second, "lost"))
                await effect.complete(done(first))

            same(await s.ended(twin), DUPLICATE, "verdict of the second")
            same(list(await setup.written()), ["one"], "written")

    async def test_an_end_waits_for_the_transaction_at_its_event(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            other = await s.another()
            async with s.ledger.effect(claim("a")) as effect:
                ending = await s.waiting(other.finish([done(claim("a"))]))
                await effect.complete(done(claim("a")))

            same(list(await s.ended(ending)), [DUPLICATE], "verdict")

    async def test_of_many_duplicates_at_once_one_has_its_effect(self, setup: StoreSetup) -> None:
        """Trap O13."""
        async with shelf(setup) as s:
            ledgers = [s.ledger, *[await s.another() for _ in range(3)]]

            async with asyncio.timeout(setup.patience):
                verdicts = await asyncio.gather(
                    *(
                        handle(s, ledgers[number % 4], claim(str(number % 5)), str(number % 5))
                        for number in range(60)
                    )
                )

            same(sorted(await setup.written()), list("01234"), "written")
            same(verdicts.count(WRITTEN), 5, "written verdicts")
            same(verdicts.count(DUPLICATE), 55, "duplicates")
