"""Linear cores are trained by the command line, from series alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from series_arrays import PEOPLE, arguments, write_series

from bids_dtg.cli.run import main
from bids_dtg.dynamics.analyses.linear_training import TrainingPeople
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.errors import DatasetError
from bids_dtg.files.text import read_rows


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Path:
    return write_series(tmp_path_factory.mktemp("linear") / "arrays")


@pytest.mark.slow
def test_a_core_is_trained_of_series_alone(arrays, tmp_path, capsys):
    words = ("--participant-label", *PEOPLE[:10])
    assert main(arguments(arrays, tmp_path / "out", "train", *words)) == 0
    folder = tmp_path / "out" / "group" / "model-own"
    card = json.loads((folder / "bundle" / "model.json").read_text())
    assert (card["kind"], card["recipe_name"], card["people"]) == (
        "linear-dynamics",
        "default",
        10,
    )
    assert (card["chosen_by"], card["order"]) == ("another session", 2)
    rows = read_rows(folder / "desc-shrinkage_scores.tsv")
    assert len(rows) == 8
    best = min(rows, key=lambda row: float(row["nll"]))
    assert float(best["frames"]) == card["process_shrinkage"]
    best = max(rows, key=lambda row: float(row["fit"]))
    assert float(best["frames"]) == card["connectivity_shrinkage"]
    features = read_rows(folder / "desc-components_scores.tsv")
    assert [row["name"] for row in features] == [f"component{n}" for n in range(1, 6)]
    assert [float(row["icc"]) for row in features] == pytest.approx(
        card["component_icc"]
    )
    before = (folder / "bundle" / "model.json").read_bytes()
    assert main(arguments(arrays, tmp_path / "new", "train", *words, "--dry-run")) == 0
    assert "would write the model own of session REST1 to " in capsys.readouterr().out
    assert main(arguments(arrays, tmp_path / "out", "train", *words)) == 0
    assert (folder / "bundle" / "model.json").read_bytes() == before


@pytest.mark.slow
def test_few_people_have_a_fixed_shrinkage_and_fewer_are_refused(
    arrays, tmp_path, capsys
):
    words = ("--participant-label",)
    assert main(arguments(arrays, tmp_path / "out", "train", *words, *PEOPLE[:5])) == 0
    folder = tmp_path / "out" / "group" / "model-own"
    card = json.loads((folder / "bundle" / "model.json").read_text())
    assert (card["process_shrinkage"], card["connectivity_shrinkage"]) == (
        2400.0,
        500.0,
    )
    assert card["chosen_by"] == ""
    assert card["component_icc"] == []
    assert (
        "fixed, as fewer than 10 people" in (folder / "network_report.html").read_text()
    )
    assert main(arguments(arrays, tmp_path / "none", "train", *words, *PEOPLE[:4])) == 2
    assert (
        "there are 4 participants with data in session REST1" in capsys.readouterr().err
    )
    assert not (tmp_path / "none").exists()


def test_the_training_of_a_network_is_not_taken_for_that_of_a_core(
    arrays, tmp_path, capsys
):
    (tmp_path / "out" / "group" / "model-own" / "checkpoints").mkdir(parents=True)
    assert main(arguments(arrays, tmp_path / "out", "train")) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "holds the training of a network. Expected: --architecture network " in err


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda rest: np.where(np.arange(4)[:, None] == 1, 3.0, rest),
            "lh_cuneus is constant",
        ),
        (
            lambda rest: np.where(np.arange(120) < 60, 0.0, rest),
            "rh_cuneus is constant in half of",
        ),
        (
            lambda rest: np.where(np.arange(119) < 59, 0.0, rest[..., :119]),
            "rh_cuneus is constant in half of",
        ),
        (
            lambda rest: np.where(np.arange(120) == 7, 3e27, rest),
            "rh_cuneus is constant in half of the session or more beside 3e+27",
        ),
        (lambda rest: rest[..., :40], "has 40 frames. Expected: 60 or more"),
    ],
)
def test_series_that_have_no_process_are_refused_in_a_line(
    change, fault, tmp_path, capsys
):
    folder = write_series(tmp_path / "odd", names=("REST1",))
    (path,) = folder.glob("*.npz")
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **{**content, "rest": change(content["rest"])})
    assert main(arguments(folder, tmp_path / "out", "train")) == 2
    error = capsys.readouterr().err
    assert fault in error
    assert len([line for line in error.splitlines() if "error:" in line]) == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "group" / "model-own" / "bundle").exists()


def test_a_half_without_kept_frames_is_said_with_its_person():
    series = np.random.default_rng(0).normal(size=(1, 4, 120)).astype("f4")
    keep = np.arange(120)[None] > 60
    people = PeopleSeries(("01",), tuple("abcd"), series, 0.72, keep=keep)
    training = TrainingPeople(lambda *_: people, "REST1", ["01"], {})
    with pytest.raises(DatasetError, match=r"sub-01, session REST1: .* found 0\."):
        list(training)
