"""Identities: derived ones are the same for every run, and lie where their conversation lies."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.ids import SystemIds, derived, deriver

CAUSE = "01a1fc5a-e4c6-7371-ad41-f14c11fb6007"


def test_another_run_derives_the_same_id_i9() -> None:
    assert derived("urn:a", "urn:b", CAUSE, "charge", 0) == "01a1fc5a-e4c6-8b5a-a7c6-2d4205708295"


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.integers(0, 5)), unique=True))
def test_different_parts_never_share_an_id(parts: list[tuple[str, str, str, int]]) -> None:
    ids = {derived("urn:a", source, cause, handler, n) for source, cause, handler, n in parts}

    assert len(ids) == len(parts)


def test_a_conversation_begins_with_its_time_however_long_the_chain() -> None:
    first = SystemIds().new()
    second = derived("urn:a", "urn:b", first, "charge", 0)
    third = derived("urn:c", "urn:a", second, "ship", 3)

    assert first[:13] == second[:13] == third[:13]
    assert UUID(second).version == UUID(third).version == 8
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    "cause",
    [
        "",
        "42",
        "4fca6f3e-5f0c-4e5f-8f3f-2f8f6a4c9f10",
        "01a1fc5a-e4c6-9371-ad41-f14c11fb6007",
        "01a1fc5a-e4c6-7371-cd41-f14c11fb6007",
        CAUSE.upper(),
        CAUSE + " ",
        CAUSE.replace("-", "_"),
        CAUSE.replace("f", "-"),
        "é" * 36,
        "0" * 14 + "7" + "0" * 4 + "8" + "é" * 16,
    ],
)
def test_any_other_cause_gives_a_plain_hash(cause: str) -> None:
    assert UUID(derived("urn:a", "urn:b", cause, "charge", 0)).version == 5


@given(st.lists(st.tuples(st.sampled_from(("", "urn:b", "urn:c")), st.text() | st.just(CAUSE))))
def test_what_derives_for_one_handler_derives_the_same(causes: list[tuple[str, str]]) -> None:
    derive = deriver("urn:a", "charge")

    ids = [derive(source, cause) for source, cause in causes]

    assert ids == [derived("urn:a", source, cause, "charge", 0) for source, cause in causes]
