"""What is asked for follows from the seed, and is as bad as it is meant to be."""

from collections import Counter, defaultdict

from tests.prove.generator import KINDS, Plan


def test_one_seed_asks_for_the_same_twice() -> None:
    assert list(Plan(7, 2_000).requests()) == list(Plan(7, 2_000).requests())


def test_numbers_have_no_gaps_within_a_key() -> None:
    numbers: dict[str, set[int]] = defaultdict(set)
    for request in Plan(7, 5_000).requests():
        numbers[request.key].add(request.number)

    assert all(found == set(range(1, len(found) + 1)) for found in numbers.values())


def test_numbers_have_no_gaps_either_where_a_plan_is_ended_early() -> None:
    for early in range(1, 200):
        plan = Plan(7, 5_000)
        numbers: dict[str, set[int]] = defaultdict(set)
        for sent, request in enumerate(plan.requests(), 1):
            numbers[request.key].add(request.number)
            plan.ended = sent >= early

        assert all(found == set(range(1, len(found) + 1)) for found in numbers.values())


def test_keys_are_as_unequal_as_in_life() -> None:
    counted = Counter(request.key for request in Plan(7, 5_000).requests())

    (_, most), *_, (_, least) = counted.most_common(150)
    assert most > 20 * least


def test_some_are_sent_twice_some_too_soon_and_some_are_poison() -> None:
    requests = list(Plan(7, 5_000).requests())
    newest: dict[str, int] = defaultdict(int)
    late = 0
    for request in requests:
        late += request.number < newest[request.key]
        newest[request.key] = max(newest[request.key], request.number)

    assert len(requests) - len({request.id for request in requests}) > 20
    assert late > 100
    assert {request.kind for request in requests} == {"", *KINDS}
