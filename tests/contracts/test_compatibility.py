"""Verdicts on pairs of schemas: ours by the matrix, Apache's beside them."""

import json
from collections.abc import Mapping

import pytest

from choreo.contracts.compatibility import Order, Verdict, Version, judge
from choreo.contracts.mode import Direction, Mode
from choreo.contracts.resolution import Kind, obstacles
from choreo.contracts.schema import read_schema
from choreo.errors import ConfigurationError
from tests.contracts.apache import apache_reads
from tests.contracts.pairs import PAIRS, Pair, array, enum, field, record
from tests.contracts.schemas import JsonSchema

DEMANDS: Mapping[Mode, tuple[bool, bool]] = {
    Mode.NONE: (False, False),
    Mode.BACKWARD: (True, False),
    Mode.BACKWARD_TRANSITIVE: (True, False),
    Mode.FORWARD: (False, True),
    Mode.FORWARD_TRANSITIVE: (False, True),
    Mode.FULL: (True, True),
    Mode.FULL_TRANSITIVE: (True, True),
}
"""Whether backward and forward reading are asked for, written down apart from the code."""


def verdict(pair: Pair, mode: Mode) -> Verdict:
    return judge(read_schema(pair.new), [Version(1, read_schema(pair.old))], mode)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.why)
def test_a_mode_forbids_what_breaks_in_its_directions_and_nothing_else(
    pair: Pair, mode: Mode
) -> None:
    backward, forward = DEMANDS[mode]

    found = verdict(pair, mode)

    allowed = not ((backward and pair.backward) or (forward and pair.forward))
    assert found.compatible is allowed
    assert {one.direction for one in found.breaks} <= found.mode.directions


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.why)
def test_a_verdict_names_what_is_in_the_way_of_each_direction(pair: Pair) -> None:
    found = verdict(pair, Mode.NONE)

    kinds = {way: {one.kind for one in found.findings if one.direction is way} for way in Direction}
    for way, expected in ((Direction.BACKWARD, pair.backward), (Direction.FORWARD, pair.forward)):
        assert expected in kinds[way] if expected else not kinds[way]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.why)
def test_who_goes_first_follows_from_who_can_read_whom(pair: Pair) -> None:
    orders = {
        (True, True): Order.ANY,
        (True, False): Order.CONSUMERS,
        (False, True): Order.PRODUCERS,
        (False, False): Order.NONE,
    }

    order = verdict(pair, Mode.FULL_TRANSITIVE).order

    assert order is orders[pair.backward is None, pair.forward is None]


def test_the_matrix_has_sixty_pairs_of_different_reasons() -> None:
    assert len({pair.why for pair in PAIRS}) == len(PAIRS) >= 60


STRICTER: Mapping[str, str] = {
    "scale": "Apache looks at bytes: an amount would be read as another",
    "precision": "as scale",
    "scale on fixed": "as scale",
    "amount as bytes": "as scale: digits without their point",
    "unit": "Apache looks at longs: a moment would be read as another",
    "moment and wall clock": "as unit",
    "moment as number": "as unit: a number without one",
    "date as long": "as unit",
    "time of day in another unit": "as unit",
    "a promotion before the very moment": "as unit: the branch that comes first takes the number",
    "a promotion before another meaning": "as unit: another library takes the very type",
    "text becomes uuid": "not every text is a uuid",
    "uuid becomes text": "as before, seen from the old reader",
    "uuid as bytes": "text of a uuid and its bytes are two things",
    "name and alias both written": "by the specification both are the field's, and one is lost",
    "old name used again": "by the specification the alias takes the old name's value from it",
    "one source, two takers": "by the specification one field cannot have two names",
    "one name in two namespaces": "the first branch of that unqualified name is another type",
}
"""Pairs at which Apache sees nothing in the way, and choreo does."""
ALLOWED: Mapping[str, str] = {
    "alias in the reader's namespace": "Apache takes an alias without a dot for a full name",
}
"""Pairs at which Apache refuses what the specification allows."""


@pytest.mark.filterwarnings("ignore::avro.errors.IgnoredLogicalType")
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.why)
def test_apaches_checker_agrees_but_for_the_differences_listed(pair: Pair) -> None:
    ours = pair.backward is None, pair.forward is None

    theirs = apache_reads(pair.new, pair.old), apache_reads(pair.old, pair.new)

    assert (theirs != ours) is (pair.why in {*STRICTER, *ALLOWED})
    if pair.why not in ALLOWED:
        assert all(they or not we for they, we in zip(theirs, ours, strict=True))


def test_every_difference_listed_is_of_a_pair() -> None:
    assert {*STRICTER, *ALLOWED} <= {pair.why for pair in PAIRS}


V1 = record(field("a", "string"))
V2 = record(field("a", "string"), field("b", "int", 0))
V3 = record(field("a", "string"), field("b", "int"))


def history(*schemas: JsonSchema) -> list[Version]:
    return [Version(number, read_schema(one)) for number, one in enumerate(schemas, 1)]


@pytest.mark.parametrize(
    ("mode", "breaks_with"),
    [
        (Mode.BACKWARD, []),
        (Mode.BACKWARD_TRANSITIVE, [1]),
        (Mode.FORWARD, []),
        (Mode.FORWARD_TRANSITIVE, []),
        (Mode.FULL, []),
        (Mode.FULL_TRANSITIVE, [1]),
        (Mode.NONE, []),
    ],
)
def test_only_transitive_modes_protect_what_was_written_before_the_last_version(
    mode: Mode, breaks_with: list[int]
) -> None:
    """Each step is allowed, and yet the third version cannot read the first one's events."""
    found = judge(read_schema(V3), history(V1, V2), mode)

    assert [one.earlier for one in found.breaks] == breaks_with


def test_a_first_version_breaks_with_nothing() -> None:
    assert judge(read_schema(V1), []).compatible


def test_a_finding_says_where_what_was_and_what_is() -> None:
    old = record(field("lines", array(record(field("price", ["null", "int"]), name="Line"))))
    new = record(field("lines", array(record(field("price", ["null", "string"]), name="Line"))))

    found = judge(read_schema(new), history(old)).findings

    assert [(one.direction, one.at, one.kind, one.was, one.now) for one in found] == [
        (Direction.BACKWARD, "lines[].price", Kind.BRANCH, "int", "null or string"),
        (Direction.FORWARD, "lines[].price", Kind.BRANCH, "null or int", "string"),
    ]


def test_every_obstacle_is_listed_and_not_the_first_only() -> None:
    old = record(field("a", "string"), field("b", "int"), field("c", enum("RED", "BLUE")))
    new = record(field("a", "int"), field("c", enum("RED")), field("d", "int"))

    found = obstacles(reader=read_schema(new), writer=read_schema(old))

    assert [(one.path, one.kind) for one in found] == [
        (("a",), Kind.TYPE),
        (("c",), Kind.SYMBOL),
        (("d",), Kind.DEFAULT),
    ]


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        (None, "None is no type"),
        ("nonsense", "defined nowhere before"),
        ({"type": "record", "name": "A"}, "has no fields"),
        ({"type": "record", "fields": []}, "has no name"),
        (record(name="bad-name"), "cannot be used in Avro"),
        (record(field("a-b", "int")), "cannot be used in Avro"),
        (record(field("a", "int"), field("a", "int")), "a field twice"),
        (record(field("a", "Later"), field("b", record(name="Later"))), "defined nowhere before"),
        (record(field("a", record())), "defines 'Event' twice"),
        (["null", ["int"]], "holds a union directly"),
        (["int", "int"], "two of one kind"),
        ([array("int"), array("string")], "two of one kind"),
        (enum("A", "A"), "a symbol twice"),
        (enum("A", default="B"), "no symbol of it"),
        ({"type": "fixed", "name": "F"}, "no size"),
        ({"type": "fixed", "name": "F", "size": -1}, "no size"),
        (record(aliases="A"), "aliases is no list of names"),
        (json.loads('{"type":' * 80 + '"int"' + "}" * 80), "nested deeper than 64"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_origin(schema: JsonSchema, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        read_schema(schema, "orders/1.avsc")

    assert "orders/1.avsc" in str(caught.value)
