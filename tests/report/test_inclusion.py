"""Who is included in averages, and errors about invalid tables."""

from __future__ import annotations

import pytest

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_tsv
from bids_dtg.report.contents import AverageFiles
from bids_dtg.report.inclusion import (
    COLUMNS,
    FILE,
    decision_lines,
    page_facts,
    read_inclusion,
    split_by_inclusion,
)


@pytest.fixture
def output(tmp_path):
    return DerivativeDataset(tmp_path)


def of(title: str) -> AverageFiles:
    return AverageFiles(title, (), (), {}, {})


def write(output, *rows, columns=COLUMNS):
    write_tsv(output.root / FILE, columns, rows)
    return read_inclusion(output)


def test_without_a_table_everybody_counts(output):
    decisions = read_inclusion(output)
    averages = [of("sub-01_task-rest")]
    assert split_by_inclusion(decisions, averages) == (averages, [])
    assert decision_lines(decisions, ["01"]) == []


def test_who_is_left_out_is_named_with_the_reason(output):
    decisions = write(
        output,
        ["sub-01", "true", None],
        ["sub-02", "false", "sleepy"],
        ["sub-03", None, "?"],
    )
    assert decisions == {"01": (True, ""), "02": (False, "sleepy")}
    first, second, third = (of(f"sub-0{n}_ses-1_task-rest") for n in (1, 2, 3))
    included, gone = split_by_inclusion(decisions, [first, second, third])
    assert included == [first, third]
    assert gone == [(second.title, f"left out by {FILE}: sleepy")]
    assert decision_lines(decisions, ["01", "02"]) == [
        f"{FILE} leaves out 1 participant: sub-02"
    ]
    assert (
        "1 participant without results here: sub-02"
        in decision_lines(decisions, ["01"])[0]
    )
    facts = page_facts(decisions, ["01", "02"])
    assert facts["decided"]["sub-02"] == {"include": False, "reason": "sleepy"}
    assert facts["people"] == ["sub-01", "sub-02"]


@pytest.mark.parametrize(
    "row", [["sub-01", "maybe"], ["n/a", "false"], ["sub-02", "true"], ["02", "n/a"]]
)
def test_a_row_that_does_not_say_who_counts_is_refused(output, row):
    told = rf"line 3 is participant {row[0].removeprefix('sub-')}, include {row[1]}\. Expected"
    with pytest.raises(DatasetError, match=told):
        write(output, ["sub-02", "FALSE", None], [*row, None])


@pytest.mark.parametrize("written", ["1", "1.0", "SUB-01"])
def test_a_decision_on_somebody_who_is_written_otherwise_is_refused(output, written):
    decisions = write(output, [written, "false", "sleepy"], ["sub-02", "true", None])
    with pytest.raises(
        SettingsError, match=rf"has participant {written}, .*: 01 or sub-01"
    ):
        decision_lines(decisions, ["01", "02"])
    assert len(decision_lines(decisions, ["02"])) == 1


@pytest.mark.parametrize(
    "columns", [["participant", "include"], ["participant_id"], []]
)
def test_another_table_and_a_damaged_one_are_refused(output, columns):
    (output.root / FILE).write_text("\t".join(columns) + "\n")
    with pytest.raises(DatasetError, match="participant_id, each once, and include"):
        read_inclusion(output)
    (output.root / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        DatasetError, match=rf"{FILE} cannot be read.*download it again"
    ):
        read_inclusion(output)


def test_nobody_left_is_refused(output):
    decisions = write(output, ["sub-01", "false", None])
    with pytest.raises(DatasetError, match="leaves out everybody"):
        split_by_inclusion(decisions, [of("sub-01_task-rest")])
