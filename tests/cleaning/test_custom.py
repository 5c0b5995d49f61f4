from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import add_run, describe_dataset

from bids_dtg.cleaning.confounds import (
    check_custom_place,
    find_custom_table,
    read_custom_table,
    require_own_tables,
)
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs

NAME = "sub-01_ses-A_task-rest_desc-confounds_timeseries.tsv"


@pytest.fixture
def run(tmp_path) -> RestRun:
    root = describe_dataset(tmp_path / "fmriprep")
    add_run(root, session="A")
    (run,) = find_runs(root, "01")
    return run


def put(path: Path, text: str = "a\tb\n1\tn/a\n2\t3.5\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("below", ["", "sub-01/ses-A/func/"])
def test_a_folder_holds_tables_named_as_fmriprep_s(run, tmp_path, below):
    path = put(tmp_path / "own" / f"{below}{NAME}")
    assert find_custom_table(tmp_path / "own", run) == path


def test_one_table_is_taken_unless_it_says_that_it_is_another_s(run, tmp_path):
    stem = NAME.partition("_desc")[0]
    for name in (
        *(NAME, "design.tsv", "sub-01_pulse.tsv", f"{stem}_recording-cardiac_physio.tsv"),
        *(f"{stem}_echo-2_desc-confounds_timeseries.tsv", f"{stem}_part-mag_regressors.tsv"),
    ):
        assert find_custom_table(put(tmp_path / name), run) == tmp_path / name
    for name, told in (
        ("sub-02_pulse.tsv", "sub-02"),
        ("sub-01_ses-B_x.tsv", "ses-B"),
        ("sub-01_ses-A_task-rest_run-2_pulse.tsv", "run-2"),
    ):
        with pytest.raises(RunError, match=rf"is of {told}, and sub-01_ses-A_task-rest is to be"):
            find_custom_table(put(tmp_path / name), run)


def test_a_run_gets_no_table_of_a_run_whose_name_has_fewer_entities(tmp_path):
    root = describe_dataset(tmp_path / "fmriprep")
    add_run(root, session="A")
    add_run(root, session="A", entities="acq-mb", parts=("bold", "json"))
    own, bare = find_runs(root, "01")
    put(tmp_path / "own" / NAME)
    assert find_custom_table(tmp_path / "own", own).name == NAME
    with pytest.raises(RunError, match="sub-01_ses-A_task-rest_acq-mb has no table"):
        find_custom_table(tmp_path / "own", bare)


def test_two_runs_with_one_table_are_refused(tmp_path):
    root = describe_dataset(tmp_path / "fmriprep")
    for session in ("A", "B"):
        add_run(root, session=session)
    table, runs = put(tmp_path / "own" / "design.tsv"), find_runs(root, "01")
    with pytest.raises(
        RunError,
        match=r"design\.tsv gives sub-01_ses-A_task-rest and sub-01_ses-B_task-rest the same table",
    ):
        require_own_tables(table, runs)
    require_own_tables(table.parent, runs)
    require_own_tables(table, runs[:1])


def test_a_folder_without_the_run_s_table_names_what_it_looked_for(run, tmp_path):
    with pytest.raises(RunError, match=rf"sub-01_ses-A_task-rest has no table .*{NAME}"):
        find_custom_table(tmp_path, run)


def test_a_place_that_is_not_there_is_told_at_once(tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        check_custom_place(tmp_path / "nowhere")
    check_custom_place(tmp_path)


def test_all_columns_are_read_with_gaps(run, tmp_path):
    values, names = read_custom_table(put(tmp_path / "x.tsv"), run, 2)
    assert names == ("a", "b")
    again = put(tmp_path / "y.tsv", "a\ta\n1\t2\n3\t4\n")
    assert read_custom_table(again, run, 2)[1] == ("a", "a.1")
    np.testing.assert_array_equal(values, [[1, np.nan], [2, 3.5]])


@pytest.mark.parametrize("blank", ["", "NA", "nan", "NaN", " n/a "])
def test_a_gap_has_many_names(run, tmp_path, blank):
    path = put(tmp_path / "x.tsv", f"a\tb\n1\t2\n{blank}\t5\n")
    values, _ = read_custom_table(path, run, 2)
    np.testing.assert_array_equal(values, [[1, 2], [np.nan, 5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\n3\t4\n5\t6\n", "has no header"),
        ("-0.5\t-0.5\n3\t4\n5\t6\n", "has no header"),
        ("a\tb\n1\t2\n3\t4\n5\t6\n", "has 3 rows. Expected: 2, the frames of sub-01_ses-A"),
        ("a\tb\n1\toops\n3\t4\n", "has 'oops' in row 1 of column b"),
        ("a\tb\n1\tn/a\n3\tn/a\n", "has no number in rows 1 to 2 of column b"),
        ("a\tb\n1\t2\n3\t-inf\n", "has '-inf' in row 2 of column b"),
        ("a\tb\n1\t2\t3\t4\n", "cannot be read as a table|has 1 rows"),
        ("", "is empty"),
    ],
)
def test_tables_that_cannot_be_used_are_one_line(run, tmp_path, text, message):
    with pytest.raises(RunError, match=message) as told:
        read_custom_table(put(tmp_path / "x.tsv", text), run, 2)
    assert str(tmp_path / "x.tsv") in str(told.value)
    assert "\n" not in str(told.value)
