"""What a handler returns is written the short way as it is the long way, or not the short way."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from choreo import Event, Service
from choreo.cloudevents import EnvelopeWriter
from choreo.codec.json import JsonCodec
from choreo.context import Emitted
from choreo.delivery.outgoing import Outgoing
from choreo.envelope import Envelope
from choreo.ids import derived
from choreo.message import Message
from choreo.testing import ManualClock
from choreo_memory import MemoryBroker

TEXTS = st.text(max_size=12) | st.sampled_from(["", "shop-7", "ä", "a b", "\n", "x" * 9_000])
MAYBE = st.none() | TEXTS
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Ordered(Event, topic="orders", key="guest"):
    guest: str


class Billed(Event, topic="bills", key="guest"):
    guest: str | None
    note: str = ""


class Unasked(Event, topic="others"):
    pass


service = Service("answers")


@service.on(Ordered)
async def bill(event: Ordered) -> Billed:
    return Billed(guest=event.guest)


PLAN = service.plans[0]
SOURCE = "urn:choreo:answers"
CAUSE = Envelope("1", "urn:choreo:shop", "Ordered.v1", b"{}", key="guest-1", hops=2)


def outgoing(*, levels: bool = False) -> Outgoing:
    """Make one that has not written anything yet, for topics with *levels* or without."""
    broker = MemoryBroker("memory://answers")
    capabilities = replace(broker.capabilities, topic_levels=levels)
    return Outgoing(
        source=SOURCE,
        writer=EnvelopeWriter(capabilities.binding),
        codec=JsonCodec(),
        clock=ManualClock(),
        capabilities=capabilities,
    )


def long_way(out: Outgoing, cause: Envelope, event: Event) -> Message:
    identity = derived(SOURCE, cause.source, cause.id, PLAN.id, 0)
    (message,) = out.caused([Emitted(identity, event)], cause)
    return message


def causes() -> st.SearchStrategy[Envelope]:
    some: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {},
        optional={
            "id": TEXTS.filter(bool),
            "source": st.sampled_from([SOURCE, "urn:choreo:shop", "urn:ä", "/a b"]),
            "correlation_id": MAYBE,
            "hops": st.sampled_from([0, 1, 62, 63]),
            "traceparent": st.just(TRACE),
            "baggage": st.just("a=b"),
        },
    )
    return some.map(lambda changed: replace(CAUSE, **changed))


@settings(max_examples=300)
@given(causes(), MAYBE, st.booleans(), st.booleans())
def test_an_answer_is_what_is_written_of_an_event_that_was_emitted(
    cause: Envelope, guest: str | None, known: bool, levels: bool
) -> None:
    """O1: and an outbox is told the same of both, above all the lane, which keeps the order."""
    out, other, event = outgoing(levels=levels), outgoing(levels=levels), Billed(guest=guest)
    answer, lodge = out.answerer(PLAN), out.lodger(PLAN)
    if known:
        long_way(out, CAUSE, Billed(guest="guest-1"))

    written, lodged = answer(cause, event), lodge(cause, event)

    assert known or written is None
    assert (lodged is None) == (written is None)
    if written is not None:
        wanted = long_way(other, cause, event)
        emitted = Emitted(derived(SOURCE, cause.source, cause.id, PLAN.id, 0), event)
        assert written == wanted
        assert [lodged] == other.emissions([emitted], [wanted])


def test_most_answers_need_no_other_way() -> None:
    out = outgoing()
    long_way(out, CAUSE, Billed(guest="guest-1"))

    assert out.answerer(PLAN)(CAUSE, Billed(guest="guest-2")) is not None
    assert out.lodger(PLAN)(CAUSE, Billed(guest="guest-2")) is not None


def test_what_is_no_single_declared_event_is_left_to_the_long_way() -> None:
    out = outgoing()
    for event in (Billed(guest="guest-1"), Unasked()):
        long_way(out, CAUSE, event)
    answer, lodge = out.answerer(PLAN), out.lodger(PLAN)

    for odd in (Unasked(), [Billed(guest="guest-2")], (), "no", 0):
        assert answer(CAUSE, odd) is None
        assert lodge(CAUSE, odd) is None
