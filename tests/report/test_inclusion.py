"""Who counts in averages: what the table says, and lines on what it cannot say."""

from __future__ import annotations

import pytest

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import read_json, write_tsv
from bids_dtg.report.contents import AverageFiles
from bids_dtg.report.inclusion import (
    COLUMNS,
    FILE,
    describe_inclusion,
    page_facts,
    read_inclusion,
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
    found = read_inclusion(output)
    averages = [of("sub-01_task-rest")]
    assert found.split(averages) == (averages, [])
    assert found.lines(["01"]) == ()
    describe_inclusion(output)
    assert list(output.root.iterdir()) == []


def test_who_is_left_out_is_named_with_the_reason(output):
    found = write(
        output, ["sub-01", "true", None], ["sub-02", "false", "sleepy"], ["sub-03", None, "?"]
    )
    assert found.decisions == {"01": (True, ""), "02": (False, "sleepy")}
    one, two, three = (of(f"sub-0{n}_ses-1_task-rest") for n in (1, 2, 3))
    kept, gone = found.split([one, two, three])
    assert kept == [one, three]
    assert gone == [(two.title, f"left out by {FILE}: sleepy")]
    assert found.lines(["01", "02", "03"]) == (f"{FILE} leaves out 1 participant: sub-02",)
    describe_inclusion(output)
    assert set(read_json((output.root / FILE).with_suffix(".json"))) == set(COLUMNS)
    facts = page_facts(found, ["01", "02"])
    assert facts["decided"]["sub-02"] == {"include": False, "reason": "sleepy"}
    assert facts["people"] == ["sub-01", "sub-02"]


def test_rows_that_cannot_be_used_are_one_line_and_people_who_are_not_here_another(output):
    found = write(
        output,
        ["sub-01", "maybe", None],
        ["n/a", "false", None],
        ["sub-02", "FALSE", None],
        ["sub-02", "true", None],
        ["sub-99", "false", None],
    )
    damaged, gone, unknown = found.lines(["01", "02"])
    assert "passes over 3 rows" in damaged
    assert "line 2 (sub-01, include maybe)" in damaged
    assert "line 5 (sub-02 a second time)" in damaged
    assert gone.endswith("leaves out 1 participant: sub-02")
    assert "1 participant without results here: sub-99" in unknown


@pytest.mark.parametrize("written", ["1", "1.0", "SUB-01"])
def test_a_decision_on_somebody_who_is_written_otherwise_is_refused(output, written):
    found = write(output, [written, "false", "sleepy"], ["sub-02", "true", None])
    with pytest.raises(SettingsError, match=rf"has participant {written}, .*: 01 or sub-01"):
        found.lines(["01", "02"])
    assert len(found.lines(["02"])) == 1


@pytest.mark.parametrize("columns", [["participant", "include"], ["participant_id"], []])
def test_another_table_is_refused(output, columns):
    (output.root / FILE).write_text("\t".join(columns) + "\n")
    with pytest.raises(DatasetError, match="participant_id and include"):
        read_inclusion(output)


def test_nobody_left_is_refused(output):
    found = write(output, ["sub-01", "false", None])
    with pytest.raises(DatasetError, match="leaves out everybody"):
        found.split([of("sub-01_task-rest")])
