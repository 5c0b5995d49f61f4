"""Named models are trained, judged and simulated by command, beside the linear core."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_series import PEOPLE, REGIONS, arguments, write_series

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows

SCORES = "desc-another_session_scores.tsv"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output with oscillators of ten people; `arrays` has all twelve."""
    folder = tmp_path_factory.mktemp("named")
    arrays = write_series(folder / "arrays")
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 100, (len(PEOPLE), len(REGIONS), len(REGIONS)))
    counts = counts + counts.swapaxes(1, 2)
    counts[:, range(len(REGIONS)), range(len(REGIONS))] = 0
    np.savez(arrays / "connectomes.npz", structural=counts, people=PEOPLE, places=REGIONS)
    words = ("--recipe", "hopf", "--participant-label", *PEOPLE[:10])
    assert main(arguments(arrays, folder / "out", "train", *words)) == 0
    return folder / "out"


def call(out: Path, analysis: str, *more: str) -> int:
    return main(arguments(out.parent / "arrays", out, analysis, *more))


def test_training_says_which_parameters_can_be_trusted(out: Path) -> None:
    folder = out / "group" / "model-own"
    rows = {row["name"]: row for row in read_rows(folder / "desc-parameters_scores.tsv")}
    assert [*rows] == ["G", "a", "noise"]
    assert float(rows["a"]["rho"]) > 0.7
    assert all(0 <= float(row["sbc_p"]) <= 1 for row in rows.values())
    card = json.loads((folder / "bundle" / "model.json").read_text())
    assert (card["kind"], card["recipe_name"], card["simulations"]) == (
        *("named-dynamics", "hopf"),
        600,
    )
    assert [len(own) for own in card["calibrations"]] == [6, 6, 6]
    page = (folder / "network_report.html").read_text()
    for row in rows.values():
        assert row["fault"] == "n/a" or row["fault"][:30] in page


def test_a_model_is_judged_beside_the_linear_core(out: Path) -> None:
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    assert call(out, "evaluate", *model) == 0
    folder = out / "group" / "evaluation-own"
    rows = {row["name"]: row for row in read_rows(folder / SCORES)}
    assert [*rows][:2] == ["named", "model"]
    assert [rows[name]["what"] for name in ("named", "model")] == ["model", "baseline"]
    assert rows["named"]["words"] == "Hopf oscillators"
    assert rows["named"]["people"] == "2"
    assert rows["named"]["verdict_fit"] == "n/a"
    assert rows["model"]["verdict_fit"] != "n/a"
    assert not (folder / "desc-intervals_scores.tsv").exists()


@pytest.mark.slow
def test_folds_train_and_judge_everybody(out: Path) -> None:
    words = ("--recipe", "hopf", "--folds", "2", "--session-label", "REST1", "REST2")
    assert call(out, "evaluate", *words) == 0
    rows = {row["name"]: row for row in read_rows(out / "group" / "folds-own" / SCORES)}
    assert rows["named"]["people"] == "12"
    assert {"model", "effective", "group", "retest"} < {*rows}


def test_simulations_repeat_and_are_of_each_person(out: Path) -> None:
    model = ("--model", str(out / "group" / "model-own" / "bundle"), "--simulations", "2")
    assert call(out, "simulate", *model, "--participant-label", *PEOPLE[:2]) == 0
    path = out / "group" / "simulation-own" / "desc-simulated_series.npz"
    with np.load(path) as arrays:
        series = arrays["simulated"]
    assert series.shape[:2] == (2, 2)
    assert np.isfinite(series).all()
    assert call(out, "simulate", *model, "--participant-label", PEOPLE[1]) == 0
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["simulated"][0], series[1])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--epochs", "3"), "a named model has no such setting"),
        (("--add-sums", "a.safetensors"), "a named model has no such setting"),
    ],
)
def test_settings_of_other_models_are_refused(
    words: tuple[str, ...], found: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(out, "train", "--recipe", "wong-wang", *words) == 2
    assert found in " ".join(capsys.readouterr().err.split())


def test_people_without_connectomes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = write_series(tmp_path / "arrays")
    assert main(arguments(arrays, tmp_path / "out", "train", "--recipe", "hopf")) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "nobody of 01, 02" in err
    assert "has a structural connectome" in err


def test_sessions_of_another_length_are_refused(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    assert call(out, "evaluate", *model, "--session-label", "REST1") != 0
    assert "has simulated sessions of 120" in " ".join(capsys.readouterr().err.split())
