"""The command line evaluates digital twins in people outside their training set."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from array_people import write
from tiny_twins import LABELS, SEEN, arguments, edges

from bids_dtg.bundles.people import PEOPLE_FILE
from bids_dtg.cli.run import main
from bids_dtg.cohort.seen_people import SEEN as REASON
from bids_dtg.files.text import read_rows
from bids_dtg.notices import named

Call = Callable[..., int]
LEFT_OUT = "left out: 3 participants; the model was trained on 3 of them ({}); baselines are"


def test_a_model_that_has_seen_everybody_is_not_judged(
    bundle: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("evaluate", "--model", str(bundle), "--participant-label", *SEEN) == 2
    assert "was fitted to everybody here" in capsys.readouterr().err


def test_unseen_people_are_judged_and_others_left_out(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged, table = tmp_path / "judged", tmp_path / "people.tsv"
    rows = "".join(f"sub-{label}\t{20 + n * n}\n" for n, label in enumerate(LABELS))
    table.write_text(f"participant_id\tage\n{rows}")
    ages = ("--participants-file", str(table), "--covariates", "age")
    assert main(arguments(people, judged, "evaluate", "--model", str(bundle), *ages)) == 0
    assert LEFT_OUT.format(named(SEEN)) in capsys.readouterr().err
    tables = {path.stem: path for path in judged.rglob("desc-*.tsv")}
    rows = read_rows(tables["desc-people_predicted"])
    assert [row["participant_id"] for row in rows] == [f"sub-{label}" for label in LABELS[3:]]
    scores = read_rows(tables["desc-scores_models"])
    assert {"twin", "group_network", "always_correct", "covariates"} <= {
        row["model"] for row in scores
    }
    crps = {row["model"] for row in scores if row["figure"] == "crps"}
    assert {"twin", "group_mean", "ridge_distribution"} <= crps
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
    assert "outside its training set, with all trials." in page
    assert "(8 are needed)" in page
    assert "<h1>Evaluation of own</h1>" in page
    # Twins of a short training differ by rounding, which has no colours and no digits.
    (high,) = re.findall(r'class="scale".*?</i><span>(.*?)</span>', page)
    assert float(high) > 1e-4
    assert not re.findall(r"0\.0000000", page)
    assert "Loss of each twin" in page
    assert "Mean time series: stroop, incongruent" in page
    assert "not evidence of an effect in a person" in page


def test_edges_without_names_are_taken_with_a_warning(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = edges()
    write(tmp_path / "plain.npz", people=arrays["people"], edges=arrays["edges"])
    call = arguments(people, tmp_path / "out", "evaluate", "--model", str(bundle), "--dry-run")
    assert main(call) == 0
    assert "no names of regions" not in capsys.readouterr().err
    call[call.index("--input-arrays") + 1] = str(tmp_path / "plain.npz")
    assert main(call) == 0
    assert "edges here have no names of regions; that they are those" in capsys.readouterr().err


@pytest.fixture
def renamed(people: Path, tmp_path: Path) -> Path:
    """Return the same people in another order with new labels, and rounded connectomes."""
    folder = Path(shutil.copytree(people, tmp_path / "renamed"))
    for path in sorted(folder.rglob("*c0p*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.replace("c0p", "new")))
    for path in folder.rglob("*.tsv"):
        path.write_text(path.read_text().replace("c0p", "new"))
    found = edges()
    found["people"] = np.array([label.replace("c0p", "new") for label in found["people"]])[::-1]
    found["edges"] = found["edges"][::-1].round(4)
    write(folder / "connectomes.npz", **found)
    return folder


def test_new_labels_hide_nobody(
    bundle: Path, renamed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, new = tmp_path / "out", [label.replace("c0p", "new") for label in SEEN]
    words = ("--model", str(bundle), "--data-set", "Another")
    assert main(arguments(renamed, out, "evaluate", *words)) == 0
    said = capsys.readouterr().err
    assert LEFT_OUT.format(named(new)) in said
    assert "are not recognised" not in said
    (folder,) = out.glob("group/evaluation-*")
    rows = read_rows(folder / "desc-participants_excluded.tsv")
    assert rows == [{"participant_id": f"sub-{label}", "reason": REASON} for label in new]
    assert len(read_rows(folder / "desc-people_predicted.tsv")) == 3
    page = " ".join((folder / "twin_report.html").read_text().split())
    sentence = "3 participants of the training or tuning of the model were left out (sub-new0000"
    assert sentence in page


def test_a_model_of_an_earlier_version_knows_labels_alone(
    bundle: Path,
    people: Path,
    renamed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = Path(shutil.copytree(bundle, tmp_path / "old"))
    card = json.loads((old / "model.json").read_text())
    del card["files"][PEOPLE_FILE]
    (old / "model.json").write_text(json.dumps(card))
    (old / PEOPLE_FILE).unlink()
    dry = ("--model", str(old), "--dry-run")
    sentence = "own lists people by their labels alone: those of them who have other labels now"
    assert main(arguments(renamed, tmp_path / "out", "evaluate", *dry)) == 0
    said = "".join(capsys.readouterr())
    assert sentence in said
    assert "6 participants" in said
    assert main(arguments(people, tmp_path / "out", "evaluate", *dry)) == 0
    assert LEFT_OUT.format(named(SEEN)) in capsys.readouterr().err


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
