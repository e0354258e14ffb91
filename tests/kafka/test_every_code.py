"""Every error code on every request once: nothing lost, nothing acknowledged unhandled (F12).

One life of a service for each code: the first request of each kind is answered with it, and a later
one of each kind that a running service asks again and again.  What says that it passes must pass;
what is final may end the life with an error that tells it, and the next one goes on.

    python -m tests.kafka.test_every_code [CODE,…]

gives each code to each kind of request in a life of its own: two thousand lives, five minutes.
"""

import asyncio
import sys
from collections.abc import Sequence
from itertools import product

import pytest
from aiokafka.errors import kafka_errors

from choreo.broker import TopicSpec
from choreo.errors import BrokerError, ConfigurationError
from choreo_kafka import KafkaBroker
from tests.kafka.answering import CREATE, METADATA, NAMES, Answering
from tests.kafka.ear import Ear, subscription
from tests.kafka.life import OPTIONS, Life
from tests.patience import patient

KNOWN = sorted(code for code in kafka_errors if code)
"""All that the client has a name for."""
NEWER = [code for code in range(max(KNOWN) + 1, 134) if code]
"""Those that Kafka 4 has beside them, which the client takes for one and the same."""
EVERY = [*KNOWN, *(code for code in range(73, 79) if code not in KNOWN), *NEWER]
ENDS = 90.0
"""Seconds for a life; each member that its group has to take for dead costs a session of 3 s."""
AT_ONCE = 140


async def trial(code: int, apis: Sequence[int], room: asyncio.Semaphore) -> list[str]:
    """Answer each of some kinds of requests with a code, and tell what went wrong."""
    async with room, Answering.running() as relay:
        life = Life(relay)
        told = f"{code} to {', '.join(NAMES[api] for api in apis)}"
        try:
            async with asyncio.timeout(patient(ENDS)):
                account = await life.lived(code, apis)
        except TimeoutError:
            return [f"{told}: not over after {ENDS:g} s: {life.account}"]
        return [f"{told}: {text}" for text in account.wrong(relay, code, apis)]


async def trials(given: Sequence[tuple[int, Sequence[int]]]) -> list[str]:
    """Live all these lives, many at once."""
    room = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(*(trial(code, apis, room) for code, apis in given))
    return [text for texts in found for text in texts]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_service_lives_through_every_code_on_every_request_f12() -> None:
    wrong = await trials([(code, list(NAMES)) for code in EVERY])

    assert wrong == []


def test_every_code_that_the_client_knows_is_among_them() -> None:
    assert set(EVERY) >= {code for code in kafka_errors if code}
    assert len(EVERY) > 130


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_a_member_whose_place_is_refused_hears_what_else_is_wrong_k18() -> None:
    """Its client coordinated nothing until somebody polled, who tried to commit for ever."""
    async with Answering.running() as relay:
        life = Life(relay, OPTIONS.replace("stall_timeout=4", "stall_timeout=60"))

        async with asyncio.timeout(patient(30)):
            await life.lived(22, [8, 9])

    assert relay.given[9] == 1


@pytest.mark.parametrize("code", [7, 13, 41, 89])
async def test_a_topic_is_asked_for_again_that_cannot_be_created_now(code: int) -> None:
    async with Answering.running() as relay, KafkaBroker(f"kafka://{relay.bootstrap}") as broker:
        relay.push(CREATE, code)

        await broker.prepare([TopicSpec(name="events", create=True)])

    assert relay.given[CREATE] == 1


async def test_a_topic_is_asked_for_again_while_its_one_broker_is_fenced() -> None:
    """A broker that fell silent for a session counts for no copies: services ended by that."""
    async with Answering.running() as relay, KafkaBroker(f"kafka://{relay.bootstrap}") as broker:
        relay.push(CREATE, 38)

        await broker.prepare([TopicSpec(name="events", create=True)])

    assert relay.given[CREATE] == 1


async def test_more_copies_than_there_are_brokers_are_refused() -> None:
    async with (
        Answering.running() as relay,
        KafkaBroker(f"kafka://{relay.bootstrap}?replication=2") as broker,
    ):
        relay.push(CREATE, 38)

        with pytest.raises(ConfigurationError, match=r"'events': InvalidReplicationFactorError"):
            await broker.prepare([TopicSpec(name="events", create=True)])


@pytest.mark.parametrize("code", [3, 5])
async def test_a_topic_of_which_one_broker_has_not_heard_yet_is_no_missing_one(code: int) -> None:
    """What prepare has created through one broker may be news to the next one that is asked."""
    async with Answering.running() as relay, KafkaBroker(f"kafka://{relay.bootstrap}") as broker:
        await broker.prepare([TopicSpec(name="events", create=True)])
        for _ in range(3):
            relay.push(METADATA, code)

        async with broker.subscribe(subscription("group", "events"), Ear()):
            pass

    assert relay.given[METADATA] == 3


async def test_topics_are_created_once_somebody_leads_the_cluster() -> None:
    """A client that knows no controller ended with an AttributeError."""
    async with Answering.running() as relay, KafkaBroker(f"kafka://{relay.bootstrap}") as broker:
        relay.leaderless = 6

        await broker.prepare([TopicSpec(name="events", create=True)])

    assert relay.leaderless == 0


async def test_a_topic_that_can_never_be_created_is_refused_with_the_reason() -> None:
    async with Answering.running() as relay, KafkaBroker(f"kafka://{relay.bootstrap}") as broker:
        relay.push(CREATE, 37)

        with pytest.raises(ConfigurationError, match=r"'events': InvalidPartitionsError"):
            await broker.prepare([TopicSpec(name="events", create=True)])


@pytest.mark.parametrize(("code", "passes"), [(72, True), (29, False)])
async def test_a_topic_that_cannot_be_looked_up_now_is_a_connection_lost_and_no_end(
    code: int, *, passes: bool
) -> None:
    async with Answering.running() as relay, KafkaBroker(f"kafka://{relay.bootstrap}") as broker:
        relay.create("events")
        relay.push(METADATA, code)

        with pytest.raises(BrokerError) as told:
            await broker.prepare([TopicSpec(name="events")])

    assert (type(told.value) is not BrokerError) is passes


def main(asked: Sequence[str]) -> None:
    """Give each code to each kind of request in a life of its own."""
    codes = [int(code) for code in asked[0].split(",")] if asked else EVERY
    wrong = asyncio.run(trials([(code, [api]) for code, api in product(codes, NAMES)]))
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main(sys.argv[1:])
