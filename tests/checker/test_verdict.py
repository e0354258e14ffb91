"""What the checker prints can be read by somebody who is tired."""

from dataclasses import replace
from pathlib import Path

import pytest

from choreo.testing.checker import Code, Entry, Scribe, check, read_entries
from choreo.testing.checker.story import LONGEST
from tests.checker.runs import changed, charged, clean, entry, shipped


def test_one_line_says_what_is_wrong_with_which_event_and_where_it_came_from() -> None:
    effects = [*clean().effects, shipped(1)]

    verdict = check(changed(effects=effects), context="seed 17, fault kill@committed")

    assert verdict.lines == [
        "FAIL duplicate-effect id=o1/paid handler=shipping.ship x2 (seed 17, fault kill@committed)"
    ]


def test_the_story_holds_the_event_its_kin_its_neighbours_and_the_faults_beside_it() -> None:
    killed = entry(31, "proc_kill")
    run = changed(effects=[*clean().effects, charged(3)], entries=[killed])

    story = check(run).story

    text = "\n".join(story)
    assert 0 < len(story) <= LONGEST
    assert story == sorted(story, key=lambda line: float(line.split()[0]))
    assert "id=o3" in text
    assert "payment-1@1" in text
    assert "proc_kill" in text
    assert "id=o1 " in text
    assert "id=o3/paid" in text


def test_no_story_is_longer_than_forty_lines() -> None:
    more = [entry(32 + n / 1000, "deliver", id="o3", tp="orders-0", offset=2) for n in range(500)]

    story = check(changed(entries=more, effects=[*clean().effects, charged(3)])).story

    assert len(story) == LONGEST


def test_errors_of_one_class_are_ranked_truncated_and_kept_whole_in_a_file(tmp_path: Path) -> None:
    effects = [replace(charged(1), id=f"ghost-{n}", key=f"k{n}", seq=1) for n in range(100)]
    verdict = check(changed(effects=[*clean().effects, *effects]))

    verdict.write(tmp_path / "all.txt")

    phantoms = [line for line in verdict.lines if line.startswith("FAIL phantom")]
    assert len(phantoms) == 9
    assert phantoms[-1] == "FAIL phantom and 92 more"
    assert (tmp_path / "all.txt").read_text().count("phantom id=ghost") == 100


@pytest.mark.parametrize(
    ("found", "code"),
    [("duplicate", Code.SAFETY), ("swapped", Code.ORDER), ("late", Code.PROGRESS)],
)
def test_the_exit_code_names_the_worst_class(found: str, code: Code) -> None:
    effects = list(clean().effects)
    runs = {
        "duplicate": changed(effects=[*reversed(effects), effects[0]]),
        "swapped": changed(effects=[*effects[1::-1], *effects[2:]]),
        "late": changed(without=["finish"]),
    }

    assert check(runs[found]).code is code


def test_what_processes_wrote_is_merged_by_time_and_a_torn_line_is_left_out(
    tmp_path: Path,
) -> None:
    first, second = (Scribe(tmp_path / name, proc=name, incarnation=2) for name in ("a", "b"))
    first.write("deliver", 2.0, id="o1", offset=7)
    second.write("ack", 1.0, id="o2")
    first.close()
    second.close()
    with (tmp_path / "a").open("a") as torn:
        torn.write('{"at":3.0,"kind":"deli')

    found = read_entries([tmp_path / "a", tmp_path / "b"])

    assert found == [
        Entry(at=1.0, kind="ack", proc="b", incarnation=2, id="o2"),
        Entry(at=2.0, kind="deliver", proc="a", incarnation=2, id="o1", offset=7),
    ]
