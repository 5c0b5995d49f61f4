"""The command line judges predictions of later trials by the first ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_twins import LABELS, add_second_run, arguments, events_of

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.twin.own_trials import ROWS

Call = Callable[..., int]
ANSWERS = ["response_time", "accuracy_binarized", "response"]


@pytest.mark.slow
def test_later_trials_are_predicted_by_the_twin_and_by_closed_forms(
    bundle: Path, people: Path, tmp_path: Path
) -> None:
    given = ("--model", str(bundle), "--own-trials", "5")
    assert main(arguments(people, tmp_path, "evaluate", *given)) == 0
    (table,) = tmp_path.rglob("desc-own_trials_scores.tsv")
    rows = read_rows(table)
    assert {row["task"] for row in rows} == {"faces", "stroop"}
    assert {row["model"] for row in rows} == {
        "twin_trials",
        "group_network",
        *(row.name for row in ROWS),
    }
    assert {row["score"] for row in rows} == {"crps", "crps_answered", "log", "brier"}
    assert all(np.isfinite(float(row["value"])) for row in rows)
    page = next(tmp_path.rglob("twin_report.html")).read_text()
    assert page.index("CRPS of later responses, faces: ") < page.index("are known of each")
    assert page.index("With a person") < page.index("Which prediction is best")
    assert page.count("of answered trials (s)</th>") == 2
    words = "outside the training set, but the first 5 trials of each task are known of each"
    assert words in page


def test_without_training_people_the_model_brings_its_closed_form(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = ("--participant-label", *LABELS[3:])
    given = ("--model", str(bundle), "--own-trials", "5", *new)
    assert main(arguments(people, tmp_path, "evaluate", *given)) == 0
    (table,) = tmp_path.rglob("desc-own_trials_scores.tsv")
    rows = {row["model"]: row for row in read_rows(table) if row["score"] == "crps"}
    assert set(rows) == {"twin_trials", "group_network", "person_effects"}
    assert rows["person_effects"]["verdict"] == "too few people"
    said = capsys.readouterr().err
    (line,) = (line for line in said.splitlines() if "CRPS of later responses, stroop: " in line)
    assert '"level, condition, practice and spread a person"' in line
    assert line.endswith(": too few people.")
    page = " ".join(next(tmp_path.rglob("twin_report.html")).read_text().split())
    assert "the one that the model keeps, as the files have too few training participants" in page


def permuted(people: Path, where: Path, parts: Sequence[slice]) -> Path:
    """Return the people, with responses to some later trials of one exchanged among these."""
    shutil.copytree(people, where)
    for task in ("hammerAP", "stroopAP"):
        path = events_of(where, LABELS[-1], task)
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        for part in parts:
            rows = table.index[part]
            table.loc[rows, ANSWERS] = table.loc[rows[::-1], ANSWERS].to_numpy()
        table.to_csv(path, sep="\t", index=False)
    return where


@pytest.mark.slow
def test_no_later_trial_reaches_a_prediction(bundle: Path, people: Path, tmp_path: Path) -> None:
    """Where predictions do not change, exchanges of trials change the mean score by their sum."""
    parts = (slice(5, 9), slice(9, 18))
    changed = [(), parts[:1], parts[1:], parts]
    scores = []
    for number, some in enumerate(changed):
        own = permuted(people, tmp_path / f"people{number}", some)
        given = ("--model", str(bundle), "--own-trials", "5")
        assert main(arguments(own, tmp_path / f"out{number}", "evaluate", *given)) == 0
        (table,) = (tmp_path / f"out{number}").rglob("desc-own_trials_scores.tsv")
        scores.append([float(row["value"]) for row in read_rows(table)])
    none, first, second, both = np.array(scores)
    assert np.abs(both - none).max() > 0.001
    np.testing.assert_allclose(both - none, (first - none) + (second - none), atol=1e-6)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("18", "18 own trials of faces leave none to predict: people have up to 18; ask for fewer"),
        # Runs of 18 trials end in the first half.
        (
            "half",
            "the first half of each run of faces leaves none to predict: all trials, up to 18",
        ),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_own_trials_that_leave_none_are_refused(
    own: str,
    words: str,
    more: tuple[str, ...],
    bundle: Path,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ("--model", str(bundle), "--own-trials", own, *more)
    assert main(arguments(people, tmp_path, "evaluate", *given)) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.parametrize(
    "judging",
    [
        ("--model", "{bundle}", "--input-arrays", "{people}/connectomes.npz"),
        ("--architecture", "mixed-effects", "--folds", "2"),
    ],
)
def test_a_task_whose_trials_are_all_known_is_lost_alone(
    judging: tuple[str, ...],
    bundle: Path,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Trials of two runs of a task are counted through: 20 are the first run and 2 of the next."""
    more = shutil.copytree(people, tmp_path / "people")
    add_second_run(more)
    given = (word.format(bundle=bundle, people=more) for word in judging)
    call = arguments(more, tmp_path / "out", "evaluate", *given, "--own-trials", "20", arrays=None)
    assert main(call) == 0
    (table,) = tmp_path.rglob("desc-own_trials_scores.tsv")
    assert {row["task"] for row in read_rows(table)} == {"stroop"}
    words = (
        "Not judged by own trials: 20 own trials of faces leave none to predict: people have up to "
        "18; ask for fewer."
    )
    assert words in capsys.readouterr().err
    assert words in " ".join(next(tmp_path.rglob("twin_report.html")).read_text().split())


@pytest.mark.slow
@pytest.mark.parametrize("who", [slice(3), slice(3, None)])
def test_a_task_that_training_or_judged_people_lack_does_not_stop_the_other(
    who: slice, bundle: Path, people: Path, tmp_path: Path
) -> None:
    fewer = shutil.copytree(people, tmp_path / "people")
    for label in LABELS[who]:
        events_of(fewer, label, "hammerAP").unlink()
    given = ("--model", str(bundle), "--own-trials", "5")
    assert main(arguments(fewer, tmp_path / "out", "evaluate", *given)) == 0
    (table,) = tmp_path.rglob("desc-own_trials_scores.tsv")
    models = {"twin_trials", "group_network", *(row.name for row in ROWS)}
    found: dict[str, set[str]] = {}
    for row in read_rows(table):
        found.setdefault(row["task"], set()).add(row["model"])
    kept = {"twin_trials", "group_network", "person_effects"}  # nobody to fit rivals to
    assert found == {"stroop": models, **({"faces": kept} if who.start is None else {})}


def test_a_bundle_without_what_they_are_compared_with_names_retraining(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = tmp_path / "older"
    shutil.copytree(bundle, older)
    (older / "own_trials.safetensors").unlink()
    card = json.loads((older / "model.json").read_text())
    del card["files"]["own_trials.safetensors"]
    (older / "model.json").write_text(json.dumps(card))
    given = ("--model", str(older), "--own-trials", "5")
    assert main(arguments(people, tmp_path / "out", "evaluate", *given)) == 2
    assert "train the model again" in capsys.readouterr().err


@pytest.mark.parametrize("own", ["0", "-3", "two"])
def test_a_number_that_makes_no_sense_is_refused(
    own: str, call: Call, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("evaluate", "--model", str(bundle), f"--own-trials={own}") == 2
    assert f"--own-trials is '{own}'. Expected: a number of trials, or half" in (
        capsys.readouterr().err
    )
