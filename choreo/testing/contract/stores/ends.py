"""What ended, ended once, whoever writes it and however many at a time."""

import asyncio
from collections import Counter
from dataclasses import replace

from choreo.store.port import Verdict
from choreo.testing.contract.bench import same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import OTHER_PAYLOAD, PAYLOAD, claim, dead, done, shelf

WRITTEN, DUPLICATE, CONFLICT = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.CONFLICT


class Ends:
    """Ends are remembered, and refused when they come again."""

    async def test_an_unknown_event_is_not_recalled(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            same(await s.ledger.recall([claim("a").key, claim("b").key]), {}, "known")
            same(await s.ledger.recall([]), {}, "known of nothing")

    async def test_an_end_is_remembered_with_its_payload(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            same(list(await s.finish(done(claim("a")))), [WRITTEN], "verdicts")

            known = await s.known(claim("a"))

            same(known and (known.state.value, known.fingerprint), ("done", PAYLOAD), "known")

    async def test_many_events_are_recalled_at_once(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            claims = [claim(f"{number:04}") for number in range(600)]
            await s.finish(*map(done, claims[::2]))

            known = await s.ledger.recall([one.key for one in claims])

            same(set(known), {one.key for one in claims[::2]}, "known")

    async def test_an_event_that_ended_is_a_duplicate(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")))

            same(list(await s.finish(done(claim("a")))), [DUPLICATE], "verdict")

    async def test_another_payload_under_a_known_id_is_a_conflict(self, setup: StoreSetup) -> None:
        """Trap I10."""
        async with shelf(setup) as s:
            await s.finish(done(claim("a")), dead(claim("b")))

            again = [done(claim(each, payload=OTHER_PAYLOAD)) for each in ("a", "b")]
            same(list(await s.finish(*again)), [CONFLICT] * 2, "verdicts")

            known = await s.known(claim("a"))
            same(known and known.fingerprint, PAYLOAD, "payload that is remembered")

    async def test_ends_of_one_call_are_judged_each_for_itself(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("old")))

            verdicts = await s.finish(
                done(claim("new")),
                done(claim("old")),
                done(claim("new")),
                done(claim("new", payload=OTHER_PAYLOAD)),
                done(claim("last")),
            )

            same(list(verdicts), [WRITTEN, DUPLICATE, DUPLICATE, CONFLICT, WRITTEN], "verdicts")
            same(await s.state(claim("last")), "done", "state of the last")

    async def test_no_ends_are_no_work(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            same(list(await s.finish()), [], "verdicts")

    async def test_callers_at_the_same_time_get_each_its_own_verdicts(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            await s.finish(*(done(claim(f"{n:03}")) for n in range(0, 100, 3)))

            verdicts = await asyncio.gather(*(s.finish(done(claim(f"{n:03}"))) for n in range(100)))

            expected = [[DUPLICATE if n % 3 == 0 else WRITTEN] for n in range(100)]
            same([list(each) for each in verdicts], expected, "verdicts")

    async def test_of_twins_in_two_processes_one_is_written(self, setup: StoreSetup) -> None:
        """Trap O13."""
        async with shelf(setup) as s:
            ledgers = [s.ledger, await s.another(), await s.another()]
            orders = (range(60), reversed(range(60)), [*range(30, 60), *range(30)])

            verdicts = await asyncio.gather(
                *(
                    ledger.finish([done(claim(f"{n:02}")) for n in order])
                    for ledger, order in zip(ledgers, orders, strict=True)
                )
            )

            counts = Counter(verdict for each in verdicts for verdict in each)
            same(counts, {WRITTEN: 60, DUPLICATE: 120}, "verdicts")

    async def test_an_end_is_known_to_every_process(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            other = await s.another()
            await s.finish(done(claim("a")))

            same(list(await other.finish([done(claim("a"))])), [DUPLICATE], "verdict")
            same(set(await other.recall([claim("a").key])), {claim("a").key}, "known")


class Replays:
    """What was dead-lettered is handled again, and only as a replay."""

    async def test_a_dead_event_is_known_as_dead(self, setup: StoreSetup) -> None:
        """Trap I3."""
        async with shelf(setup) as s:
            same(list(await s.finish(dead(claim("a")))), [WRITTEN], "verdict")

            same(await s.state(claim("a")), "dead", "state")

    async def test_a_dead_event_that_comes_again_is_a_duplicate(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(dead(claim("a")))

            verdicts = await s.finish(done(claim("a")), dead(claim("a")))

            same(list(verdicts), [DUPLICATE] * 2, "verdicts")

    async def test_a_replay_of_a_dead_event_is_handled_once(self, setup: StoreSetup) -> None:
        """Trap I12."""
        async with shelf(setup) as s:
            await s.finish(dead(claim("a")))

            first = await s.finish(done(claim("a", generation=1)))
            again = await s.finish(done(claim("a", generation=1)), done(claim("a", generation=2)))

            same((list(first), list(again)), ([WRITTEN], [DUPLICATE] * 2), "verdicts")
            known = await s.known(claim("a"))
            same(known and (known.state.value, known.generation), ("done", 1), "known")

    async def test_a_replay_that_fails_may_be_replayed_again(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(dead(claim("a")))
            await s.finish(dead(claim("a", generation=1)))

            same(list(await s.finish(done(claim("a", generation=1)))), [DUPLICATE], "the same")
            same(list(await s.finish(done(claim("a", generation=2)))), [WRITTEN], "the next")

    async def test_what_is_done_refuses_replays(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")))

            same(list(await s.finish(done(claim("a", generation=1)))), [DUPLICATE], "verdict")

    async def test_what_is_done_is_done_once_more_by_force(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")), done(claim("b", purpose="pay 7")))
            wanted = replace(claim("a", purpose="pay 7", generation=2), forced=True)

            first = await s.finish(done(wanted))
            again = await s.finish(done(wanted), done(claim("a")), done(claim("a", generation=3)))

            same((list(first), list(again)), ([WRITTEN], [DUPLICATE] * 3), "verdicts")
            known = await s.known(wanted)
            same(known and (known.state.value, known.generation), ("done", 2), "known")

    async def test_a_replay_may_bear_another_payload(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(dead(claim("a")))

            edited = claim("a", generation=1, payload=OTHER_PAYLOAD)
            same(list(await s.finish(done(edited))), [WRITTEN], "verdict")

            known = await s.known(edited)
            same(known and known.fingerprint, OTHER_PAYLOAD, "payload that is remembered")


class Purposes:
    """Several events with one idempotency key are one effect."""

    async def test_two_events_with_one_idempotency_key_are_one_effect(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            first = await s.finish(done(claim("a", purpose="pay 7")))
            second = await s.finish(done(claim("b", purpose="pay 7")))

            same((list(first), list(second)), ([WRITTEN], [DUPLICATE]), "verdicts")
            same(await s.known(claim("b")), None, "known of the second event")

    async def test_one_call_may_hold_two_events_with_one_idempotency_key(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            ends = [done(claim(each, purpose="pay 7")) for each in "abc"]

            verdicts = await s.finish(*ends, done(claim("d")))

            same(list(verdicts), [WRITTEN, DUPLICATE, DUPLICATE, WRITTEN], "verdicts")

    async def test_an_event_with_an_idempotency_key_that_comes_again_is_a_duplicate(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a", purpose="pay 7")))

            verdicts = await s.finish(
                done(claim("a", purpose="pay 7")),
                done(claim("a", purpose="pay 7", payload=OTHER_PAYLOAD)),
            )

            same(list(verdicts), [DUPLICATE, CONFLICT], "verdicts")

    async def test_a_dead_event_leaves_its_idempotency_key_to_the_next(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            await s.finish(dead(claim("a", purpose="pay 7")))

            same(list(await s.finish(done(claim("b", purpose="pay 7")))), [WRITTEN], "verdict")

            replay = claim("a", purpose="pay 7", generation=1)
            same(list(await s.finish(done(replay))), [DUPLICATE], "verdict of the replay")

    async def test_idempotency_keys_and_ids_do_not_hide_each_other(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a", purpose="b")))

            verdicts = await s.finish(
                done(claim("b")),
                done(claim("c", purpose="a")),
                done(claim("d", handler=1, purpose="b")),
            )

            same(list(verdicts), [WRITTEN] * 3, "verdicts")

    async def test_of_events_with_one_idempotency_key_in_two_processes_one_is_written(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            other = await s.another()

            verdicts = await asyncio.gather(
                *(
                    ledger.finish([done(claim(f"{name}{n}", purpose=f"pay {n}")) for n in order])
                    for name, ledger, order in (
                        ("a", s.ledger, range(40)),
                        ("b", other, reversed(range(40))),
                    )
                )
            )

            counts = Counter(verdict for each in verdicts for verdict in each)
            same(counts, {WRITTEN: 40, DUPLICATE: 40}, "verdicts")
