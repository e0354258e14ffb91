"""Whose books they are: services, handlers and sources do not hide events from each other."""

from typing import Any

from choreo.errors import StoreError
from choreo.store.port import Claim, Store, Verdict
from choreo.testing.contract.bench import fail, same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import HANDLERS, PAYLOAD, START, claim, done, shelf


class Scopes:
    """Books are kept apart, and found again."""

    async def test_two_handlers_do_not_hide_an_event_from_each_other(
        self, setup: StoreSetup
    ) -> None:
        """Trap I8."""
        async with shelf(setup) as s:
            await s.finish(done(claim("a")))

            same(await s.known(claim("a", handler=1)), None, "known of the other handler")
            verdicts = await s.finish(done(claim("a", handler=1)), done(claim("a")))
            same(list(verdicts), [Verdict.WRITTEN, Verdict.DUPLICATE], "verdicts")

    async def test_two_services_do_not_hide_an_event_from_each_other(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            other = await s.another(service=setup.name())
            await s.finish(done(claim("a")))

            same(await other.recall([claim("a").key]), {}, "known")
            same(list(await other.finish([done(claim("a"))])), [Verdict.WRITTEN], "verdict")

    async def test_two_sources_do_not_hide_an_event_from_each_other(
        self, setup: StoreSetup
    ) -> None:
        """Trap I11."""
        async with shelf(setup) as s:
            await s.finish(done(claim("a")))
            foreign = Claim(key=(0, "urn:other", "a"), fingerprint=PAYLOAD, at=START)

            same(list(await s.finish(done(foreign))), [Verdict.WRITTEN], "verdict")

    async def test_handlers_are_found_again_by_their_names(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await s.finish(done(claim("a")))
            store: Store[Any] = await s.stack.enter_async_context(setup.open())
            turned = await store.ledger(s.service, ("new", *reversed(HANDLERS)))

            known = await turned.recall([(number, *claim("a").key[1:]) for number in range(3)])

            same({key[0] for key in known}, {2}, "handlers that know the event")

    async def test_ids_of_any_length_and_content_are_told_apart(self, setup: StoreSetup) -> None:
        """Trap I11."""
        odd = [
            *("x" * 200, "x" * 201, "x" * 5000, "y" * 5000, "x" * 4999),
            *(
                "nul\0one",
                "nul\0two",
                "nul",
                "tab\t",
                "tab",
                " ",
                "  ",
                "%",
                "_",
                "'\"",
                "é",
                "e\u0301",
            ),
            *("😀", "\ud800", "\u200b", "A", "a", "1", "01", "null", "{}"),
        ]
        async with shelf(setup) as s:
            claims = [claim(identity) for identity in odd]
            claims += [
                Claim(key=(0, identity, "id"), fingerprint=PAYLOAD, at=START) for identity in odd
            ]
            claims += [claim(f"p{n}", purpose=purpose) for n, purpose in enumerate(["", *odd])]

            first = await s.finish(*map(done, claims))
            second = await s.finish(*map(done, claims))

            same(list(first), [Verdict.WRITTEN] * len(claims), "first verdicts")
            same(list(second), [Verdict.DUPLICATE] * len(claims), "second verdicts")
            known = await s.ledger.recall([one.key for one in claims])
            same(set(known), {one.key for one in claims}, "known")

    async def test_books_are_found_again_when_the_store_is_opened_again(
        self, setup: StoreSetup
    ) -> None:
        store = setup.open()
        service = setup.name()
        async with store:
            await (await store.ledger(service, HANDLERS)).finish([done(claim("a"))])

        async with store:
            ledger = await store.ledger(service, HANDLERS)
            same(list(await ledger.finish([done(claim("a"))])), [Verdict.DUPLICATE], "verdict")

    async def test_a_store_that_is_not_open_says_so(self, setup: StoreSetup) -> None:
        store = setup.open()
        for state in ("new", "closed"):
            try:
                await store.ledger(setup.name(), HANDLERS)
                fail(f"a {state} store opened books")
            except StoreError:
                pass
            if state == "new":
                async with store:
                    pass
