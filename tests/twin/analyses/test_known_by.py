"""The command line judges people who are known by their trials of another task."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_twins import LABELS, TRAIN, arguments, events_of, write_twins

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows

Call = Callable[..., int]


@pytest.mark.slow
def test_one_task_predicts_another_alone_and_with_first_trials(
    bundle: Path, people: Path, tmp_path: Path
) -> None:
    given = ("--model", str(bundle), "--known-by", "faces", "--own-trials", "5")
    assert main(arguments(people, tmp_path, "evaluate", *given)) == 0
    (table,) = tmp_path.rglob("desc-known_by_scores.tsv")
    rows = read_rows(table)
    assert {(row["task"], row["known_by"]) for row in rows} == {("stroop", "faces")}
    forms = ("twin", "person_effects", "shifted_scale")
    assert {(row["model"], row["known"]) for row in rows} == {
        ("group_trials", "nothing"),
        *((form, known) for form in forms for known in ("other_task", "own_trials", "both")),
    }
    assert all(np.isfinite(float(row["value"])) for row in rows)
    judge = [row for row in rows if row["verdict"] == "n/a"]
    assert {(row["model"], row["known"]) for row in judge} == {("twin", "both")}
    page = next(tmp_path.rglob("twin_report.html")).read_text()
    assert page.index("CRPS of stroop by faces:") < page.index("<h2>With a person")
    assert "known by all their trials of faces, and by the first 5 trials of each task" in page


def test_without_own_trials_only_the_other_task_is_known(
    bundle: Path, people: Path, tmp_path: Path
) -> None:
    given = ("--model", str(bundle), "--known-by", "stroop")
    assert main(arguments(people, tmp_path, "evaluate", *given)) == 0
    (table,) = tmp_path.rglob("desc-known_by_scores.tsv")
    assert {(row["task"], row["known"]) for row in read_rows(table)} == {
        ("faces", "nothing"),
        ("faces", "other_task"),
    }
    assert not list(tmp_path.rglob("desc-own_trials_scores.tsv"))


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (
            {"stroopAP": LABELS[3:5], "hammerAP": LABELS[5:]},
            "0 participants to judge have responses in stroop and faces: 1 or more are needed",
        ),
        (
            {"stroopAP": LABELS[:1]},
            "2 training participants have responses in stroop and faces: 3 or more are needed",
        ),
        (
            {"hammerAP": LABELS[:3]},
            "0 training participants have responses in stroop and faces: 3 or more are needed",
        ),
        ({"hammerAP": LABELS[3:]}, "nobody to judge has trials of faces"),
        ({"stroopAP": LABELS[3:]}, "nobody to judge has trials of another task than faces"),
    ],
)
def test_too_few_people_with_both_tasks_are_one_line(
    without: dict[str, tuple[str, ...]],
    words: str,
    bundle: Path,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fewer = shutil.copytree(people, tmp_path / "people")
    for task, labels in without.items():
        for label in labels:
            events_of(fewer, label, task).unlink()
    given = ("--model", str(bundle), "--known-by", "faces")
    assert main(arguments(fewer, tmp_path / "out", "evaluate", *given)) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"--known-by was given, and {words}" in line
    assert not list(tmp_path.rglob("*.html"))


def test_a_task_that_the_model_has_not_is_one_line(
    call: Call, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("evaluate", "--model", str(bundle), "--known-by", "strop") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "--known-by is 'strop'. Expected: a task of the model" in line
    assert "faces, stroop. To do: did you mean stroop?" in line


@pytest.mark.slow
def test_a_model_of_one_task_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_twins(tmp_path / "one", tasks=("stroopAP",))
    assert main(arguments(one, tmp_path / "out", "train", *TRAIN, "--model-name", "own")) == 0
    bundle = tmp_path / "out" / "group" / "model-own" / "bundle"
    given = ("--model", str(bundle), "--known-by", "stroop")
    assert main(arguments(one, tmp_path / "out", "evaluate", *given)) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "has one task (stroop). Expected: a model of two tasks or more" in line


def test_known_tasks_and_folds_are_one_line(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("evaluate", "--folds", "2", "--known-by", "faces") == 2
    assert "--known-by was given with --folds" in capsys.readouterr().err


def test_without_training_people_in_the_files_it_is_one_line(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = ("--participant-label", "c0p0003", "c0p0004", "c0p0005")
    given = ("--model", str(bundle), "--known-by", "faces", *new)
    assert main(arguments(people, tmp_path, "evaluate", *given)) == 2
    assert "the files have 0 participants of the model's training set" in capsys.readouterr().err
