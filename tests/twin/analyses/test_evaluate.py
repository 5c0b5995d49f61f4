"""The command line evaluates digital twins: a model, fits by folds, and halves of runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from twin_people import LABELS, SEEN, arguments

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.notices import named

LEFT_OUT = "left out: 3 participants: the model was trained on them ({}); baselines are"
TABLES = {"desc-people_predicted", "desc-scores_models", "desc-twins_matched"}


@pytest.fixture(scope="module")
def covariates(tmp_path_factory) -> tuple[str, ...]:
    """Return options that name columns of a table of participants."""
    path = tmp_path_factory.mktemp("table") / "people.tsv"
    rows = "".join(f"sub-{label}\t{20 + n * n}\n" for n, label in enumerate(LABELS))
    path.write_text(f"participant_id\tage\n{rows}")
    return ("--participants-file", str(path), "--covariates", "age")


def page_of(folder: Path) -> str:
    return " ".join((folder / "twin_report.html").read_text().split())


def models_of(folder: Path, figure: str) -> set[str]:
    rows = read_rows(folder / "desc-scores_models.tsv")
    return {row["model"] for row in rows if row["figure"] == figure}


@pytest.mark.slow
def test_unseen_people_are_judged_and_others_left_out(bundle, people, tmp_path, capsys):
    call = arguments(people, tmp_path, "evaluate", "--model", str(bundle))
    assert main(call) == 0
    assert LEFT_OUT.format(named(SEEN)) in capsys.readouterr().err
    folder = tmp_path / "group" / "evaluation-own"
    tables = {path.stem: path for path in folder.glob("desc-*.tsv")}
    assert {*tables} == TABLES | {"desc-participants_excluded"}
    rows = read_rows(tables["desc-people_predicted"])
    assert [row["participant_id"] for row in rows] == [
        f"sub-{label}" for label in LABELS[3:]
    ]
    networks, simple = {"twin", "group_network"}, {"group_mean", "ridge_distribution"}
    assert models_of(folder, "crps") == models_of(folder, "brier") == networks | simple
    assert models_of(folder, "choice") == networks | {"always_correct"}
    assert models_of(folder, "rt") == networks | {"group_mean", "connectome_ridge"}
    scores = read_rows(tables["desc-scores_models"])
    assert {row["verdict"] for row in scores} == {"n/a", "too few people"}
    for table in tables.values():
        header = table.read_text().partition("\n")[0].split("\t")
        lines = json.loads(table.with_suffix(".json").read_text())
        assert list(lines) == ["Description", *header]
    page = page_of(folder)
    assert "(8 are needed)" in page
    assert "not evidence of an effect in a person" in page


@pytest.mark.slow
def test_everybody_is_judged_once_by_folds_with_covariates(
    people, covariates, tmp_path
):
    words = ("--folds", "2", "--epochs", "2", "--task-file", "stroop", *covariates)
    assert main(arguments(people, tmp_path, "evaluate", *words)) == 0
    judged = tmp_path / "group" / "folds-own"
    rows = read_rows(judged / "desc-people_predicted.tsv")
    assert sorted(row["participant_id"] for row in rows) == [
        f"sub-{label}" for label in LABELS
    ]
    assert Counter(row["fold"] for row in rows) == {"1": 3, "2": 3}
    fits = read_rows(judged / "desc-folds_models.tsv")
    assert [row["fold"] for row in fits] == ["1", "2"]
    assert [
        (row["judged"], row["trained_on"], row["twins_differ"]) for row in fits
    ] == [("3", "3", "false")] * 2
    assert not (judged / "checkpoints").exists()
    scores = read_rows(judged / "desc-scores_models.tsv")
    of_people = [row for row in scores if row["figure"] in ("rt", "effect")]
    assert {row["people"] for row in of_people} == {"6"}
    assert {"connectome_ridge", "covariates"} <= {row["model"] for row in of_people}
    assert "so all twins there are the group" in page_of(judged)


@pytest.mark.slow
def test_second_halves_are_judged_beside_the_own_first_half(people, tmp_path):
    words = ("--folds", "halves", "--epochs", "2")
    assert main(arguments(people, tmp_path, "evaluate", *words)) == 0
    (judged,) = tmp_path.glob("group/*-own")
    (fit,) = read_rows(judged / "desc-folds_models.tsv")
    assert (fit["judged"], fit["trained_on"]) == ("6", "6")
    assert {"twin", "own_first_half", "connectome_ridge"} <= models_of(judged, "rt")
    rows = read_rows(judged / "desc-people_predicted.tsv")
    assert {row["fold"] for row in rows} == {"n/a"}
    assert any(
        row["own_first_half_stroop_rt"] != row["observed_stroop_rt"] for row in rows
    )
    assert (
        "Twins, baselines and ridges saw earlier trials of the same people"
        in page_of(judged)
    )


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("--folds", "2", "--model", "MODEL"), "--folds and --model were given"),
        (("--folds", "1"), "--folds is 1. Expected: 2 or more"),
        (("--folds", "thirds"), "--folds"),
        (
            ("--folds", "2", "--participant-label", *LABELS[:4]),
            "2 participants would be trained",
        ),
        (
            ("--folds", "halves", "--participant-label", *LABELS[:2]),
            "2 participants would be",
        ),
        (
            ("--folds", "2", "--participant-label", LABELS[0]),
            "--folds 2: 1 families cannot be",
        ),
        (("--model", "MODEL", "--epochs", "3"), "--epochs was given with --model"),
        (
            ("--model", "MODEL", "--covariates", "age"),
            "names age, and the model own adjusts for none",
        ),
        (
            ("--model", "MODEL", "--participant-label", *SEEN),
            "was fitted to everybody here",
        ),
        ((), "--analysis evaluate was given without --model"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words, refused, bundle, people, tmp_path, capsys
):
    filled = [str(bundle) if word == "MODEL" else word for word in words]
    assert main(arguments(people, tmp_path, "evaluate", *filled)) == 2
    assert refused in capsys.readouterr().err
    assert not list(tmp_path.rglob("desc-*"))
