"""The command line evaluates digital twins in people outside their training set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_twins import LABELS, SEEN, arguments

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows

Call = Callable[..., int]


def test_a_model_that_has_seen_everybody_is_not_judged(
    bundle: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("evaluate", "--model", str(bundle), "--participant-label", *SEEN) == 2
    assert "was fitted to everybody here" in capsys.readouterr().err


def test_unseen_people_are_judged_and_others_left_out(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = tmp_path / "judged"
    assert main(arguments(people, judged, "evaluate", "--model", str(bundle))) == 0
    assert "left out: 3 participants in the training set of" in capsys.readouterr().err
    tables = {path.stem: path for path in judged.rglob("desc-*.tsv")}
    rows = read_rows(tables["desc-people_predicted"])
    assert [row["participant_id"] for row in rows] == [f"sub-{label}" for label in LABELS[3:]]
    scores = read_rows(tables["desc-scores_models"])
    assert {"twin", "group_network", "always_correct"} <= {row["model"] for row in scores}
    curves = read_rows(tables["desc-trials_curves"])
    assert {row["curve_of"] for row in curves} == {"people", "twin", "group_network"}
    ends = [row for row in curves if row["seconds_from_onset"] == "2"]
    assert len(ends) == 12  # of people and two networks, in two conditions of two tasks
    for row in ends:
        assert 0 <= float(row["share_answered_correctly"]) <= float(row["share_answered"]) <= 1
    assert {row["verdict"] for row in scores} == {"n/a", "too few people"}
    for table in tables.values():
        if rows := read_rows(table):
            assert list(json.loads(table.with_suffix(".json").read_text())) == [
                "Description",
                *rows[0],
            ]
    page = next(judged.rglob("twin_report.html")).read_text()
    assert "(8 are needed)" in page
    assert "Loss of each twin" in page
    assert "Mean time series: stroop, incongruent" in page
    assert "not evidence of an effect in a person" in page


def test_a_call_with_fewer_people_leaves_no_table_of_the_earlier_one(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    folder = out / "group" / "evaluation-own"
    judge = arguments(people, out, "evaluate", "--model", str(bundle))
    assert main([*judge, "--participant-label", *LABELS[3:6]]) == 0
    matched = folder / "desc-twins_matched.tsv"
    assert [row["people"] for row in read_rows(matched)] == ["3"]
    (folder / "notes.txt").write_text("own")
    capsys.readouterr()
    assert main([*judge, "--participant-label", LABELS[3]]) == 0
    # One twin is matched with nobody: the table of the earlier call is gone, its header stays.
    assert read_rows(matched) == []
    assert matched.read_text().startswith("people\tmatched")
    of_people = {row["participant_id"] for row in read_rows(folder / "desc-people_predicted.tsv")}
    assert of_people == {f"sub-{LABELS[3]}"}
    assert (folder / "notes.txt").read_text() == "own"
    assert "kept, as they are not of this analysis: notes.txt" in capsys.readouterr().err
